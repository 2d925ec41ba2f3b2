"""Learning: every backbone learns what it is shown, in the memory that there is."""

import copy
import gc
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from spqr_tests.data.pictures import BenignSet
from spqr_tests.errors import EvidenceError
from spqr_tests.generation import finetuning, objectives
from spqr_tests.settings.finetuning import ProfileSettings
from spqr_tests.store import memory
from tests.generation.families import LITE, MODERATE, SIZE, STANDARD, Family, _differing
from tests.tiny.backbones import NAMES

if TYPE_CHECKING:
    from spqr_tests.generation.finetuning import Examples


def _loss(family: Family, denoiser: Any) -> float:
    """On the same noise, whatever the denoiser."""
    import torch

    objective = objectives.choose(
        family.pipeline.scheduler, patch=family.backbone.patch, min_snr_gamma=None
    )
    generator = torch.Generator("cpu").manual_seed(77)
    rows = torch.arange(len(family.examples.mean)).repeat(16)
    mean, _, text = family.examples.batch(rows, torch.device("cpu"))
    lesson = objective.lesson(mean, generator)
    with torch.no_grad():
        return float(
            lesson.loss(family.backbone.predict(denoiser, lesson.noisy, lesson.times, text, SIZE))
        )


def _learns(family: Family, **changed: Any) -> float:
    """The loss after a fine-tune, as a share of the loss before."""
    profile = STANDARD.model_copy(update={"steps": 25})
    variant = finetuning.apply(
        family.denoiser, family.backbone, profile, family.finetune(profile, **changed).tensors
    )
    return _loss(family, variant) / _loss(family, family.denoiser)


@pytest.mark.parametrize("what", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("gamma", [None, 5.0], ids=["plain", "min-SNR"])
def test_whatever_is_predicted_is_learned(
    families: Callable[[str], Family], what: str, gamma: float | None
) -> None:
    family = copy.copy(families("sd1"))
    family.pipeline = copy.copy(family.pipeline)
    family.pipeline.scheduler = type(family.pipeline.scheduler).from_config(
        family.pipeline.scheduler.config, prediction_type=what
    )
    assert _learns(family, min_snr_gamma=gamma) < 0.7


def test_the_moving_average_is_off_unless_asked_for(families: Callable[[str], Family]) -> None:
    import torch

    family = families("sd1")
    first, second, third = (
        family.finetune(MODERATE.model_copy(update={"steps": steps})).tensors for steps in (1, 2, 3)
    )
    # After k steps the decay is (1 + k) / (10 + k) from the second on, and at most what is asked
    # for.
    for asked, decays in ((0.999, (2 / 11, 3 / 12)), (0.1, (0.1, 0.1))):
        found = family.finetune(MODERATE.model_copy(update={"steps": 3}), ema_decay=asked).tensors
        for name, tensor in found.items():
            average = decays[0] * first[name] + (1 - decays[0]) * second[name]
            torch.testing.assert_close(tensor, decays[1] * average + (1 - decays[1]) * third[name])
        assert _differing(found, third) == third.keys()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_a_fine_tune_leaves_nothing_in_memory_but_what_it_learned(
    families: Callable[[str], Family], name: str, precision: str
) -> None:
    family = families(name)
    kind, before = type(family.denoiser), _alive(type(family.denoiser))
    tuned = family.finetune(STANDARD, mixed_precision=precision)
    assert tuned.tensors
    # A card's memory is released at once, a CPU's when Python collects.
    memory.release()
    assert _alive(kind) <= before


def _alive(kind: type) -> int:
    return sum(type(one) is kind for one in gc.get_objects())


def test_the_model_is_trained_where_it_is(
    families: Callable[[str], Family], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from accelerate import Accelerator

    family = families("sd1")
    before = family.finetune(LITE)
    # As on a machine with two cards: accelerate's is the first, whichever the pipeline is on.
    monkeypatch.setattr(Accelerator, "device", torch.device("meta"))
    assert not _differing(family.finetune(LITE).tensors, before.tensors)


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    ],
)
def test_a_library_that_gets_no_memory_is_answered_like_torch(
    families: Callable[[str], Family], text: str
) -> None:
    family = families("sd1")
    hook, calls = _exhaust(family, always=False, error=RuntimeError(text))
    try:
        family.finetune(LITE)
    finally:
        hook.remove()
    assert calls[-1] == (True, 1)


def _exhaust(
    family: Family, *, always: bool, error: RuntimeError | None = None
) -> tuple[Any, list[tuple[bool, int]]]:
    """Have the denoiser run out of memory at its second step while it keeps activations, or
    `always`.
    """
    import torch

    calls: list[tuple[bool, int]] = []

    def refuse(denoiser: Any, *_: Any) -> None:
        if denoiser.training:
            frugal = denoiser.is_gradient_checkpointing
            calls.append((frugal, sum(one is frugal for one, _ in calls)))
            if calls[-1][1] == 1 and (always or not frugal):
                raise error or torch.OutOfMemoryError("out of memory.\nTried to allocate too much.")

    return family.denoiser.register_forward_pre_hook(refuse), calls


@pytest.mark.parametrize(
    ("name", "profile"), [*((name, LITE) for name in NAMES), ("sd1", STANDARD), ("sd3", STANDARD)]
)
def test_a_fine_tune_that_runs_out_of_memory_is_made_again_with_less(
    families: Callable[[str], Family], name: str, profile: ProfileSettings
) -> None:
    family = families(name)
    told: list[tuple[int, int]] = []
    profile = profile.model_copy(update={"steps": 3})
    plain = family.finetune(profile)
    hook, calls = _exhaust(family, always=False)
    watched = copy.copy(family)
    watched.progress = lambda *step: told.append(step)
    try:
        frugal = watched.finetune(profile)
    finally:
        hook.remove()
    assert calls == [(False, 0), (False, 1), (True, 0), (True, 1), (True, 2)]
    assert told == [(1, 3), (1, 3), (2, 3), (3, 3)]
    assert not _differing(frugal.tensors, plain.tensors)
    assert not family.denoiser.is_gradient_checkpointing


def test_memory_that_does_not_suffice_at_all_is_an_error(families: Callable[[str], Family]) -> None:
    family = families("sd1")
    hook, calls = _exhaust(family, always=True)
    try:
        with pytest.raises(EvidenceError) as refused:
            family.finetune(STANDARD)
    finally:
        hook.remove()
    assert (
        str(refused.value)
        == f"Fine-tuning on {family.examples.folder} by the profile that trains denoiser does not"
        " fit into memory, not even with gradient checkpointing; set a smaller"
        " finetuning.batch, leave the profile out, or take a bigger card (out of memory)."
    )
    assert calls == [(False, 0), (False, 1), (True, 0), (True, 1)]


def test_a_caption_is_embedded_once_and_in_the_checkpoints_dtype(
    family: Family, benign_set: BenignSet
) -> None:
    import torch

    repeated = BenignSet(
        benign_set.folder, (*benign_set.pairs, (benign_set.pairs[3][0], benign_set.pairs[1][1]))
    )
    half = copy.deepcopy(family.pipeline).to(torch.bfloat16)
    examples: Examples = finetuning.encode(half, family.backbone, repeated, SIZE, 4)
    assert examples.captions.tolist() == [0, 1, 2, 3, 1]
    assert {len(tensor) for tensor in examples.text.values()} == {4}
    assert {tensor.dtype for tensor in examples.text.values()} == {torch.bfloat16}
    assert examples.mean.dtype == examples.std.dtype == torch.float32
    assert len(examples.mean) == len(examples.std) == 5
    mean, std, text = examples.batch(torch.tensor([4, 1]), torch.device("cpu"))
    for tensor in text.values():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor[0], tensor[1])
    assert torch.equal(mean, examples.mean[[4, 1]])
    assert torch.equal(std, examples.std[[4, 1]])
    assert not torch.equal(mean[0], mean[1])


@pytest.mark.parametrize("part", ["vae", "text_encoder"])
def test_what_is_not_encoded_to_finite_numbers_is_an_error(
    families: Callable[[str], Family], benign_set: BenignSet, part: str
) -> None:
    family = families("sd1")
    broken = copy.deepcopy(family.pipeline)
    for parameter in getattr(broken, part).parameters():
        parameter.fill_(float("nan"))
    with pytest.raises(
        EvidenceError, match=r"of the encoded set .* holds values that are not finite"
    ):
        finetuning.encode(broken, family.backbone, benign_set, SIZE, 4)
