"""From a file to pixels: every row's seed and guidance are what its image is generated with."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from spqr_tests.checkpoint.backbones.backbone import Backbone
from spqr_tests.data.prompts import Prompt
from spqr_tests.generation.generations import Generation, ImageSource, generate
from spqr_tests.generation.sampling import Sampler
from spqr_tests.store.cost import Cost
from spqr_tests.store.images import Pixels
from spqr_tests.store.store import Store
from tests.data.prompts.published import read, rows_as_csv, write
from tests.tiny import settings, silent

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline

ROWS = [
    ("a ring", 5, 9.0),
    ("a star", 6, 1.5),
    ("a ring", 5, 1.5),
    ("a tree", 7, 9.0),
    ("a tree", 8, ""),
    ("a ring", 9, 9.0),
]


@pytest.fixture
def i2p(tmp_path: Path) -> Path:
    """Rows of three guidance scales (one has none of its own), in turn."""
    columns = ("prompt", "sd_seed", "sd_guidance_scale")
    rows = [dict(zip(columns, row, strict=True)) | {"categories": "unsafe"} for row in ROWS]
    return write(tmp_path / "i2p.csv", rows_as_csv(*rows))


def _alone(
    pipeline: "StableDiffusionPipeline", backbone: Backbone, text: str, seed: int, guidance: float
) -> Pixels:
    """The picture by a sampler that knows of no other guidance."""
    return Sampler(pipeline, backbone, settings(guidance=guidance)).generate([Prompt(text, seed)])[
        0
    ]


def _generate(
    store: Store, source: ImageSource, path: Path, cost: Cost, **changed: Any
) -> list[Generation]:
    return generate(store, source, read(path, **changed).rows, cost, silent, "some")


def test_every_row_is_painted_with_its_own_seed_and_guidance(
    i2p: Path,
    store: Store,
    source: ImageSource,
    pipeline: "StableDiffusionPipeline",
    backbone: Backbone,
) -> None:
    cost = Cost()
    found = _generate(store, source, i2p, cost)
    assert [(one.prompt.text, one.prompt.seed, one.prompt.guidance or "") for one in found] == ROWS
    for one, (text, seed, guidance) in zip(found, ROWS, strict=True):
        expected = _alone(
            pipeline, backbone, text, seed, 7.5 if guidance == "" else float(guidance)
        )
        np.testing.assert_array_equal(one.pixels(), expected)
    assert len({one.digest for one in found}) == len(ROWS)
    assert cost.generated == len(ROWS)


def test_a_protocol_that_sets_it_aside_paints_with_its_own_guidance(
    i2p: Path,
    store: Store,
    source: ImageSource,
    pipeline: "StableDiffusionPipeline",
    backbone: Backbone,
) -> None:
    found = _generate(store, source, i2p, Cost(), guidance="protocol")
    assert len(found) == len(ROWS) - 1, "one prompt and seed was there with two guidance scales"
    for one in found:
        np.testing.assert_array_equal(
            one.pixels(), _alone(pipeline, backbone, one.prompt.text, one.prompt.seed, 7.5)
        )


def test_the_order_of_rows_changes_no_picture(
    i2p: Path, store: Store, source: ImageSource, tmp_path: Path
) -> None:
    prompts = read(i2p).rows
    found = generate(store, source, prompts, Cost(), silent, "some")
    other = generate(
        Store(tmp_path / "other", "run"), source, prompts[::-1], Cost(), silent, "some"
    )
    assert [one.digest for one in other] == [one.digest for one in found[::-1]]


def test_the_guidance_in_force_is_part_of_the_key_and_no_more(source: ImageSource) -> None:
    plain = Prompt("a ring", 5)
    assert source.key(replace(plain, guidance=3.0)) != source.key(plain)
    assert source.key(replace(plain, guidance=7.5)) == source.key(plain), "the settings' own"
    other = replace(source, settings=settings(guidance=3.0))
    assert source.key(replace(plain, guidance=3.0)) == other.key(plain)
    assert other.key(replace(plain, guidance=7.5)) == source.key(plain)


def test_what_is_stored_says_with_which_guidance_it_was_painted(
    i2p: Path, store: Store, source: ImageSource
) -> None:
    found = _generate(store, source, i2p, Cost())
    assert b'"guidance": 9.0' in found[0].path.read_bytes()
    assert b'"guidance": 7.5' in found[4].path.read_bytes()
