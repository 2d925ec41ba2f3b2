"""Held-out pictures: which they are, and the loss on them."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from spqr_tests.checkpoint.backbones.stable_diffusion import BACKBONE
from spqr_tests.data.pictures import BenignSet
from spqr_tests.data.pictures import read as read_pictures
from spqr_tests.errors import BrokenModelError, DivergedError
from spqr_tests.generation import destroyed, held_out
from spqr_tests.generation.generations import ImageSource
from spqr_tests.generation.sampling import Sampler
from spqr_tests.settings.finetuning import OptimizerSettings, ProfileSettings
from spqr_tests.settings.sampler import SamplerSettings
from spqr_tests.store.store import Store
from tests.generation.recipes import profile as recipe
from tests.tiny import SIDE

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline

SETTINGS = SamplerSettings(height=SIDE, width=SIDE, dtype="float32", scheduler="ddim", steps=2)
OPTIMIZER = OptimizerSettings(batch=4, mixed_precision="no")
PROFILE = ProfileSettings(trains="denoiser", steps=1)


def _set(count: int, captions: int = 1) -> BenignSet:
    pairs = [
        (Path(f"{number}.png"), f"caption {one}")
        for number in range(count)
        for one in range(captions)
    ]
    return BenignSet(Path("folder"), tuple(pairs))


@pytest.mark.parametrize(
    ("there", "n", "asked", "trained", "held"),
    [
        (20, 16, 4, (0, 16), (16, 20)),
        (20, 16, 64, (0, 16), (16, 20)),
        (30, 16, 4, (0, 16), (16, 20)),
        # Nothing behind the first n, or one picture: a fifth is set aside.
        (16, 16, 4, (0, 13), (13, 16)),
        (17, 16, 2, (0, 14), (14, 16)),
        (100, None, 64, (0, 80), (80, 100)),
        (100, None, 4, (0, 96), (96, 100)),
        # Too small for that: its own pictures.
        (9, None, 4, (0, 9), (0, 4)),
        (4, 4, 64, (0, 4), (0, 4)),
    ],
)
@pytest.mark.parametrize("captions", [1, 3])
def test_what_is_held_out(
    there: int,
    n: int | None,
    asked: int,
    trained: tuple[int, int],
    held: tuple[int, int],
    captions: int,
) -> None:
    first, second = held_out.split(_set(there, captions), n, asked)
    assert second is not None
    for found, (start, end) in ((first, trained), (second, held)):
        assert [path.name for path in found.pictures] == [
            f"{number}.png" for number in range(start, end)
        ]
        assert len(found.pairs) == captions * (end - start)


def test_nothing_is_held_out_where_nothing_is_asked_for() -> None:
    whole = _set(9)
    assert held_out.split(whole, 9, 0) == (whole, None)


def test_pictures_behind_the_first_n_are_read_where_they_are(tmp_path: Path) -> None:
    for number in range(5):
        pixels = np.random.default_rng(number).integers(0, 255, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        (tmp_path / f"{number}.txt").write_text("a square")
    assert len(read_pictures(tmp_path, 2).pictures) == 2
    assert len(read_pictures(tmp_path, 2, spare=2).pictures) == 4
    assert len(read_pictures(tmp_path, 2, spare=64).pictures) == 5
    assert read_pictures(tmp_path, 2, spare=2).pairs[:2] == read_pictures(tmp_path, 2).pairs


def _source(pipeline: "StableDiffusionPipeline", content: str) -> ImageSource:
    sampler = Sampler(pipeline, BACKBONE, SETTINGS)
    return ImageSource(content, "cpu", SETTINGS, lambda: sampler)


def test_a_loss_is_the_same_each_time_and_of_each_model(
    pipeline: "StableDiffusionPipeline", benign_set: BenignSet, tmp_path: Path
) -> None:
    import torch

    found = [
        held_out.losses(
            Store(tmp_path / name, "run"), _source(pipeline, "one"), benign_set, PROFILE, OPTIMIZER
        )
        for name in "ab"
    ]
    np.testing.assert_array_equal(*found)
    assert found[0].shape == (len(benign_set.pictures),)
    # An untrained network predicts next to nothing of unit noise.
    assert 0.5 < found[0].mean() < 5
    assert len(set(found[0])) == len(found[0])
    torch.rand(3)
    kept = held_out.losses(
        Store(tmp_path / "a", "next"),
        ImageSource("one", "cpu", SETTINGS, lambda: pytest.fail("loaded again")),
        benign_set,
        PROFILE,
        OPTIMIZER,
    )
    np.testing.assert_array_equal(kept, found[0])


def test_each_picture_counts_once_whatever_its_captions(
    pipeline: "StableDiffusionPipeline", benign_set: BenignSet, tmp_path: Path
) -> None:
    twice = BenignSet(
        benign_set.folder,
        tuple(pair for pair in benign_set.pairs for pair in (pair, (pair[0], "another"))),
    )
    plain, doubled = (
        held_out.losses(
            Store(tmp_path / name, "run"), _source(pipeline, "one"), pictures, PROFILE, OPTIMIZER
        )
        for name, pictures in (("a", benign_set), ("b", twice))
    )
    np.testing.assert_array_equal(plain, doubled)


def test_a_loss_is_that_by_which_a_profile_trains(
    pipeline: "StableDiffusionPipeline", benign_set: BenignSet, tmp_path: Path
) -> None:
    """A caption of its own, an offset of the noise and min-SNR change it, and its key."""
    store, source = Store(tmp_path, "run"), _source(pipeline, "one")

    def loss(benign: BenignSet = benign_set, **stated: object) -> list[float]:
        profile = PROFILE.model_copy(update=stated)
        return held_out.losses(store, source, benign, profile, OPTIMIZER).tolist()

    named = BenignSet(benign_set.folder, tuple((path, "a ring") for path, _ in benign_set.pairs))
    assert loss(instance_prompt="a ring") == loss(named)
    found = [
        loss(**stated)
        for stated in (
            {},
            {"instance_prompt": "a ring"},
            {"noise_offset": 0.5},
            {"min_snr_gamma": 5.0},
        )
    ]
    assert len({tuple(one) for one in found}) == len(found)
    assert loss(caption_dropout=0.5, accumulation=2, rank=4) == found[0]


def test_a_textual_inversion_has_no_held_out_loss(
    pipeline: "StableDiffusionPipeline", benign_set: BenignSet, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="has no loss on held-out pictures"):
        held_out.losses(
            Store(tmp_path, "run"),
            _source(pipeline, "one"),
            benign_set,
            recipe("textual-inversion"),
            OPTIMIZER,
        )


def test_a_loss_that_is_not_finite_is_a_broken_model(
    pipeline: "StableDiffusionPipeline",
    benign_set: BenignSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        type(BACKBONE), "predict", lambda *given: given[2] * float("nan"), raising=True
    )
    with pytest.raises(BrokenModelError, match="not finite"):
        held_out.losses(
            Store(tmp_path, "run"), _source(pipeline, "one"), benign_set, PROFILE, OPTIMIZER
        )


def test_a_training_that_diverged_is_not_made_again(tmp_path: Path) -> None:
    calls = []

    def train() -> None:
        calls.append(1)
        raise DivergedError("the loss is nan.")

    key = "k" * 64
    one, two = (Store(tmp_path, session) for session in ("one", "two"))
    for store in (one, one, two, two):
        again = partial(destroyed.once, store, key, train)
        with pytest.raises(BrokenModelError, match=r"^the loss is nan\.$"):
            store.attempt(key, again)
    assert calls == [1]
