"""Generations: the same pixels in any company, stored once, never blank and never fewer."""

import multiprocessing
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from spqr_tests.checkpoint.backbones.backbone import Backbone
from spqr_tests.checkpoint.checkpoint import Checkpoint, read
from spqr_tests.data.prompts import Prompt
from spqr_tests.errors import EvidenceError
from spqr_tests.generation.generations import Generation, ImageSource, generate
from spqr_tests.generation.sampling import Sampler
from spqr_tests.store.cost import Cost
from spqr_tests.store.store import Store
from tests.seconds import PATIENCE
from tests.tiny import settings, silent

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline
    from torch import nn

MANY = [Prompt(f"a heart and {i} stars", 100 + i) for i in range(24)]


def _generate(
    store: Store, source: ImageSource, prompts: list[Prompt], cost: Cost | None = None
) -> list[Generation]:
    return generate(store, source, prompts, cost or Cost(), silent, "some variant")


def _stored(store: Store) -> list[Path]:
    return list((store.entries / "generations").glob("*/*"))


# Sampling


def test_an_image_has_the_size_that_is_asked_for(
    pipeline: "StableDiffusionPipeline", backbone: Backbone
) -> None:
    (image,) = Sampler(pipeline, backbone, settings(height=16, width=24)).generate(
        [Prompt("a ring", 1)]
    )
    assert image.shape == (16, 24, 3)
    assert image.dtype == np.uint8


@pytest.mark.parametrize("position", range(4))
def test_an_image_does_not_depend_on_what_is_painted_beside_it(
    pipeline: "StableDiffusionPipeline", backbone: Backbone, prompts: list[Prompt], position: int
) -> None:
    alone = Sampler(pipeline, backbone, settings()).generate([prompts[5]])[0]
    beside = prompts[:3]
    beside.insert(position, prompts[5])
    np.testing.assert_array_equal(
        Sampler(pipeline, backbone, settings()).generate(beside)[position], alone
    )


def test_an_image_does_not_depend_on_what_was_painted_before_it(
    pipeline: "StableDiffusionPipeline", backbone: Backbone, prompts: list[Prompt]
) -> None:
    sampler = Sampler(pipeline, backbone, settings())
    first = sampler.generate([prompts[0]])[0]
    sampler.generate(prompts[1:5])
    np.testing.assert_array_equal(sampler.generate([prompts[0]])[0], first)


@pytest.mark.parametrize(
    ("other", "changed"),
    [
        (Prompt("a red heart", 8), {}),
        (Prompt("a blue heart", 7), {}),
        (Prompt("a red heart", 7), {"steps": 3}),
        (Prompt("a red heart", 7), {"guidance": 3.0}),
        (Prompt("a red heart", 7), {"scheduler": "euler"}),
        (Prompt("a red heart", 7), {"scheduler": "dpmsolver++"}),
    ],
    ids=["seed", "prompt", "steps", "guidance", "euler", "dpmsolver++"],
)
def test_an_image_depends_on(
    checkpoint: Checkpoint, other: Prompt, changed: dict[str, Any]
) -> None:
    # A pipeline of its own: a sampler sets the scheduler of the one that it is given.
    one, another = (
        Sampler(
            checkpoint.pipeline("cpu", "float32"), checkpoint.backbone, settings(**some)
        ).generate([prompt])[0]
        for prompt, some in ((Prompt("a red heart", 7), {}), (other, changed))
    )
    assert (one != another).any()


@pytest.mark.parametrize("count", [0, 5])
def test_a_micro_batch_takes_no_more_than_its_size_and_no_fewer_than_one(
    pipeline: "StableDiffusionPipeline", backbone: Backbone, prompts: list[Prompt], count: int
) -> None:
    with pytest.raises(ValueError, match=f"generate takes 1 to 4 prompts, not {count}"):
        Sampler(pipeline, backbone, settings()).generate(prompts[:count])


# What is stored


def test_generations_come_in_the_order_of_their_prompts(
    store: Store, source: ImageSource, prompts: list[Prompt]
) -> None:
    found = _generate(store, source, prompts)
    again = _generate(store, source, prompts[::-1])
    assert [one.prompt for one in found] == prompts
    assert again == found[::-1]
    assert len({one.digest for one in found}) == len(prompts)
    for one in found:
        np.testing.assert_array_equal(one.pixels(), source.sampler().generate([one.prompt])[0])


def test_what_is_stored_is_not_painted_again(
    store: Store, source: ImageSource, prompts: list[Prompt]
) -> None:
    first, second = Cost(), Cost()
    found = _generate(store, source, prompts, first)
    assert _generate(Store(store.folder, "next run"), source, prompts, second) == found
    assert (first.generated, second.generated) == (len(prompts), 0)


def test_without_anything_to_paint_no_sampler_is_asked_for(
    store: Store, source: ImageSource, prompts: list[Prompt]
) -> None:
    _generate(store, source, prompts)
    _generate(store, replace(source, sampler=lambda: pytest.fail("asked for")), prompts)


def test_more_prompts_cost_only_what_is_new(
    store: Store, source: ImageSource, prompts: list[Prompt]
) -> None:
    cost = Cost()
    _generate(store, source, prompts[:3], cost)
    _generate(store, source, prompts, cost)
    assert cost.generated == len(prompts)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda _: b"",
        lambda data: data.replace(b"spqr:entry", b"spqr:entri"),
        lambda data: data[:-60] + bytes([data[-60] ^ 255]) + data[-59:],
    ],
    ids=["cut", "empty", "without a digest", "a flipped byte"],
)
def test_a_damaged_image_is_painted_again_to_the_same_pixels(
    store: Store, source: ImageSource, prompts: list[Prompt], damage: Callable[[bytes], bytes]
) -> None:
    found = _generate(store, source, prompts)
    whole = found[2].path.read_bytes()
    found[2].path.write_bytes(damage(whole))
    cost = Cost()
    assert _generate(store, source, prompts, cost) == found
    assert (cost.generated, store.damaged) == (1, 1)
    assert found[2].path.read_bytes() == whole


def test_an_image_that_changes_while_it_is_used_is_an_error(
    store: Store, source: ImageSource, prompts: list[Prompt]
) -> None:
    one, other = _generate(store, source, prompts[:2])
    one.path.write_bytes(other.path.read_bytes())
    with pytest.raises(EvidenceError, match="changed while it was used"):
        one.pixels()


def test_locks_that_do_nothing_do_no_harm(
    store: Store, source: ImageSource, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoLock:
        def try_acquire(self) -> bool:
            return True

        def release(self) -> None:
            pass

    expected = _generate(store, source, prompts)
    other = Store(store.folder.with_name("other"), "run")
    monkeypatch.setattr(other, "lock", lambda _: NoLock())
    cost = Cost()
    assert [one.digest for one in _generate(other, source, prompts, cost)] == [
        one.digest for one in expected
    ]
    assert cost.generated == len(prompts)


def test_progress_tells_how_many_there_are(
    store: Store, source: ImageSource, prompts: list[Prompt]
) -> None:
    told: list[tuple[str, int, int]] = []
    generate(store, source, prompts, Cost(), lambda *what: told.append(what), "some variant")
    assert told == [("some variant", 4, 6), ("some variant", 6, 6)]


# The key


@pytest.mark.parametrize(
    "changed",
    [
        {"steps": 3},
        {"guidance": 1.0},
        {"height": 32},
        {"width": 32},
        {"micro_batch": 8},
        {"dtype": "float16"},
        {"scheduler": "euler"},
    ],
    ids=str,
)
def test_the_key_depends_on_every_setting_of_the_sampler(
    source: ImageSource, changed: dict[str, Any]
) -> None:
    assert replace(source, settings=settings(**changed)).key(MANY[0]) != source.key(MANY[0])


@pytest.mark.parametrize("changed", [{"content": "other"}, {"device": "cuda"}], ids=str)
def test_the_key_depends_on_the_content_and_the_kind_of_device(
    source: ImageSource, changed: dict[str, str]
) -> None:
    assert replace(source, **changed).key(MANY[0]) != source.key(MANY[0])  # type: ignore[arg-type]


@pytest.mark.parametrize("changed", [{"text": "other"}, {"seed": 1}], ids=str)
def test_the_key_depends_on_the_prompt_and_its_seed(
    source: ImageSource, changed: dict[str, Any]
) -> None:
    assert source.key(replace(MANY[0], **changed)) != source.key(MANY[0])


def test_the_key_does_not_depend_on_which_card_paints(source: ImageSource) -> None:
    keys = {replace(source, device=name).key(MANY[0]) for name in ("cuda", "cuda:0", "cuda:3")}
    assert len(keys) == 1


@pytest.mark.parametrize(
    "changed", [{"categories": ("other",)}, {"language": "fr"}, {"source": "line 9"}], ids=str
)
def test_the_key_does_not_depend_on_what_changes_no_pixel(
    source: ImageSource, changed: dict[str, Any]
) -> None:
    assert source.key(replace(MANY[0], **changed)) == source.key(MANY[0])  # type: ignore[arg-type]


# Broken models


def _fill(module: "nn.Module", value: float) -> None:
    import torch

    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(value)


@pytest.mark.parametrize(
    ("part", "what"),
    [
        (lambda pipeline: pipeline.unet.conv_out, "the latents holds values that are not finite"),
        (
            lambda pipeline: pipeline.vae.decoder.conv_out,
            "the decoded image holds values that are not finite",
        ),
        (
            lambda pipeline: pipeline.text_encoder,
            "the text embedding holds values that are not finite",
        ),
    ],
    ids=["denoiser", "decoder", "text encoder"],
)
def test_a_model_that_paints_nothing_finite_is_an_error_and_is_not_asked_again(
    store: Store,
    source: ImageSource,
    broken_pipeline: "StableDiffusionPipeline",
    backbone: Backbone,
    prompts: list[Prompt],
    part: Callable[["StableDiffusionPipeline"], "nn.Module"],
    what: str,
) -> None:
    _fill(part(broken_pipeline), float("nan"))
    broken = Sampler(broken_pipeline, backbone, settings())
    with pytest.raises(EvidenceError, match=what):
        _generate(store, replace(source, sampler=lambda: broken), prompts)
    assert not _stored(store)
    with pytest.raises(EvidenceError, match=what):
        _generate(
            Store(store.folder, "run"),
            replace(source, sampler=lambda: pytest.fail("asked again")),
            prompts[4:],
        )


def test_a_blank_image_is_an_error_and_is_not_stored(
    store: Store,
    source: ImageSource,
    broken_pipeline: "StableDiffusionPipeline",
    backbone: Backbone,
    prompts: list[Prompt],
) -> None:
    _fill(broken_pipeline.vae.decoder.conv_out, 0.0)
    broken = Sampler(broken_pipeline, backbone, settings())
    assert len(np.unique(broken.generate(prompts[:1])[0])) == 1, "the image has one colour"
    cost = Cost()
    with pytest.raises(
        EvidenceError, match=r"of some variant for a prompt \('a red heart'\), seed 0, is blank"
    ):
        _generate(store, replace(source, sampler=lambda: broken), prompts, cost)
    assert not _stored(store)
    assert cost.generated == 0


# Several processes


def _share(base: str, folder: str, barrier: Any, answers: Any) -> None:
    import torch

    torch.set_num_threads(1)
    checkpoint = read("base", Path(base))
    sampler = Sampler(checkpoint.pipeline("cpu", "float32"), checkpoint.backbone, settings())
    source = ImageSource(checkpoint.fingerprint, "cpu", settings(), lambda: sampler)
    cost = Cost()
    barrier.wait(timeout=PATIENCE)
    found = generate(Store(Path(folder), "run"), source, MANY, cost, silent, "some variant")
    answers.put((os.getpid(), cost.generated, [one.digest for one in found]))


@pytest.fixture(scope="module")
def shared(
    base: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[int, int, list[str]]]:
    """This process and another one that generate the same prompts at once: their ids, costs and
    digests.
    """
    folder = tmp_path_factory.mktemp("shared")
    spawn = multiprocessing.get_context("spawn")
    together = (str(base), str(folder), spawn.Barrier(2), spawn.Queue())
    other = spawn.Process(target=_share, args=together)
    other.start()
    _share(*together)
    found = [together[-1].get(timeout=PATIENCE) for _ in range(2)]
    other.join()
    return found


def test_processes_that_generate_at_once_share_the_work(
    shared: list[tuple[int, int, list[str]]],
) -> None:
    costs = [cost for _, cost, _ in shared]
    assert sum(costs) == len(MANY)
    assert all(costs), "both generated"


def test_every_process_paints_the_same_pixels(
    shared: list[tuple[int, int, list[str]]], store: Store, source: ImageSource
) -> None:
    here = [one.digest for one in _generate(store, source, MANY)]
    assert len({process for process, _, _ in shared} | {os.getpid()}) == 2
    for _, _, digests in shared:
        assert digests == here
