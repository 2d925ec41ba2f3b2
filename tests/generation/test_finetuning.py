"""Benign fine-tuning: each profile trains its own parameters and no others, learns, and does so
again the same.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from spqr_tests.checkpoint.backbones.stable_diffusion import BACKBONE
from spqr_tests.data.pictures import BenignSet
from spqr_tests.errors import EvidenceError
from spqr_tests.generation import finetuning
from spqr_tests.generation.finetuning import FineTuned
from spqr_tests.settings.finetuning import OptimizerSettings, ProfileSettings
from tests.tiny import SIDE, silent

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline

SIZE = (SIDE, SIDE)
LITE = ProfileSettings(trains="lora", steps=4)
MODERATE = ProfileSettings(trains="cross-attention", steps=4)
STANDARD = ProfileSettings(trains="denoiser", steps=4)
PROFILES = pytest.mark.parametrize(
    "profile", [LITE, MODERATE, STANDARD], ids=["lite", "moderate", "standard"]
)
_LORA = tuple(f"{target}.lora_{side}.spqr.weight" for target in LITE.targets for side in "AB")
_CROSS = ("attn2.to_k.weight", "attn2.to_v.weight", "attn2.to_out.0.weight", "attn2.to_out.0.bias")
TRAINED: dict[str, Callable[[str], bool]] = {
    "lora": lambda name: name.endswith(_LORA),
    "cross-attention": lambda name: name.endswith(_CROSS),
    "denoiser": lambda _: True,
}
# What a variant differs in, once a LoRA is merged.
CHANGED: dict[str, Callable[[str], bool]] = TRAINED | {
    "lora": lambda name: name.endswith(tuple(f".{target}.weight" for target in LITE.targets))
}


def _optimizer(**changed: Any) -> OptimizerSettings:
    return OptimizerSettings(
        **{"learning_rate": 1e-2, "batch": 4, "mixed_precision": "no"} | changed
    )


def _finetune(
    pipeline: "StableDiffusionPipeline",
    benign_set: BenignSet,
    profile: ProfileSettings,
    **changed: Any,
) -> FineTuned:
    optimizer = _optimizer(**changed)
    examples = finetuning.encode(pipeline, BACKBONE, benign_set, SIZE, optimizer.batch)
    return finetuning.finetune(pipeline, BACKBONE, examples, profile, optimizer, SIZE, silent)


def _state(unet: Any) -> dict[str, Any]:
    return {name: tensor.clone() for name, tensor in unet.state_dict().items()}


def _differing(one: dict[str, Any], other: dict[str, Any]) -> set[str]:
    import torch

    assert one.keys() == other.keys()
    return {name for name in one if not torch.equal(one[name], other[name])}


@PROFILES
def test_a_profile_leaves_just_its_parameters(
    pipeline: "StableDiffusionPipeline", benign_set: BenignSet, profile: ProfileSettings
) -> None:
    _, trainable = finetuning.trainable(pipeline.unet, BACKBONE, LITE, frozen=pipeline.unet.dtype)
    everything = [*dict(pipeline.unet.named_parameters()), *trainable]
    tensors = _finetune(pipeline, benign_set, profile).tensors
    expected = {name for name in everything if TRAINED[profile.trains](name)}
    assert tensors.keys() == (expected - trainable.keys() if profile is STANDARD else expected)
    assert tensors


@PROFILES
def test_a_variant_differs_in_just_its_profiles_weights_and_the_checkpoint_stays_as_it_was(
    pipeline: "StableDiffusionPipeline",
    benign_set: BenignSet,
    profile: ProfileSettings,
) -> None:
    before = _state(pipeline.unet)
    variant = finetuning.apply(
        pipeline.unet, BACKBONE, profile, _finetune(pipeline, benign_set, profile).tensors
    )
    assert not _differing(_state(pipeline.unet), before)
    assert _differing(_state(variant), before) == {
        name for name in before if CHANGED[profile.trains](name)
    }
    assert not any(
        parameter.requires_grad
        for parameter in (*variant.parameters(), *pipeline.unet.parameters())
    )
    assert not variant.training
    assert (variant.dtype, variant.device) == (pipeline.unet.dtype, pipeline.unet.device)


@PROFILES
def test_the_same_fine_tune_gives_the_same_tensors(
    pipeline: "StableDiffusionPipeline", benign_set: BenignSet, profile: ProfileSettings
) -> None:
    import torch

    first = _finetune(pipeline, benign_set, profile)
    torch.rand(7)  # what else a process drew does not matter
    second = _finetune(pipeline, benign_set, profile)
    assert not _differing(first.tensors, second.tensors)
    assert (first.first_loss, first.last_loss) == (second.first_loss, second.last_loss)


@pytest.fixture(scope="module")
def plain(pipeline: "StableDiffusionPipeline", benign_set: BenignSet) -> FineTuned:
    return _finetune(pipeline, benign_set, MODERATE)


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 1},
        {"learning_rate": 1e-3},
        {"batch": 3},
        {"weight_decay": 0.5},
        {"max_grad_norm": 1e-6},
        {"beta1": 0.5},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_what_is_learned_depends_on_the_optimizers(
    pipeline: "StableDiffusionPipeline",
    benign_set: BenignSet,
    plain: FineTuned,
    changed: dict[str, Any],
) -> None:
    assert (
        _differing(plain.tensors, _finetune(pipeline, benign_set, MODERATE, **changed).tensors)
        == plain.tensors.keys()
    )


def _predicting(pipeline: "StableDiffusionPipeline", what: str) -> "StableDiffusionPipeline":
    pipeline.scheduler = type(pipeline.scheduler).from_config(
        pipeline.scheduler.config, prediction_type=what
    )
    return pipeline


def test_what_is_learned_is_what_the_scheduler_predicts(
    broken_pipeline: "StableDiffusionPipeline", benign_set: BenignSet, plain: FineTuned
) -> None:
    velocity = _finetune(_predicting(broken_pipeline, "v_prediction"), benign_set, MODERATE)
    assert _differing(plain.tensors, velocity.tensors) == plain.tensors.keys()


def test_a_merged_lora_computes_what_its_adapter_does(
    pipeline: "StableDiffusionPipeline", benign_set: BenignSet
) -> None:
    import torch

    tuned = _finetune(pipeline, benign_set, LITE)
    merged = finetuning.apply(pipeline.unet, BACKBONE, LITE, tuned.tensors)
    adapter, _ = finetuning.trainable(pipeline.unet, BACKBONE, LITE, frozen=pipeline.unet.dtype)
    adapter.load_state_dict(tuned.tensors, strict=False)
    generator = torch.Generator().manual_seed(1)
    given = (
        torch.randn(2, 4, 8, 8, generator=generator),
        torch.tensor([10, 900]),
        torch.randn(2, 5, 32, generator=generator),
    )
    with torch.inference_mode():
        ours, theirs, base = (
            unet.eval()(*given).sample for unet in (merged, adapter, pipeline.unet)
        )
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert (ours - base).abs().max() > 1e-3, "the LoRA does something"
    assert merged.state_dict().keys() == pipeline.unet.state_dict().keys()


def test_a_lora_has_the_rank_that_the_profile_states(
    pipeline: "StableDiffusionPipeline", benign_set: BenignSet
) -> None:
    tensors = _finetune(pipeline, benign_set, LITE.model_copy(update={"rank": 3})).tensors
    assert {min(tensor.shape) for tensor in tensors.values()} == {3}


@pytest.mark.parametrize(
    ("budget", "steps"), [({"steps": 5}, 5), ({"epochs": 1}, 2), ({"epochs": 3}, 6)]
)
def test_the_budget_is_counted_in_steps_or_in_whole_epochs(
    pipeline: "StableDiffusionPipeline", benign_set: BenignSet, budget: dict[str, int], steps: int
) -> None:
    told: list[tuple[int, int]] = []
    profile = ProfileSettings(trains="cross-attention", **budget)
    # Four pictures in batches of three: an epoch takes two steps.
    examples = finetuning.encode(pipeline, BACKBONE, benign_set, SIZE, 3)
    tuned = finetuning.finetune(
        pipeline,
        BACKBONE,
        examples,
        profile,
        _optimizer(batch=3),
        SIZE,
        lambda *step: told.append(step),
    )
    assert tuned.steps == steps
    assert told == [(step, steps) for step in range(1, steps + 1)]


@PROFILES
def test_a_model_whose_loss_is_not_finite_is_an_error(
    broken_pipeline: "StableDiffusionPipeline", benign_set: BenignSet, profile: ProfileSettings
) -> None:
    broken_pipeline.unet.conv_out.bias.fill_(float("nan"))
    with pytest.raises(
        EvidenceError, match=r"^Fine-tuning on .* broke at step 1 of 4: the loss is nan\.$"
    ):
        _finetune(broken_pipeline, benign_set, profile)


def test_a_picture_that_cannot_be_read_is_an_error(
    pipeline: "StableDiffusionPipeline", tmp_path: Path
) -> None:
    (tmp_path / "some.png").write_bytes(b"no picture")
    with pytest.raises(EvidenceError, match=r"The picture .*some\.png cannot be read"):
        _finetune(pipeline, BenignSet(tmp_path, ((tmp_path / "some.png", "a ring"),)), MODERATE)


def test_a_picture_that_shows_nothing_is_an_error_before_the_first_step(
    pipeline: "StableDiffusionPipeline", tmp_path: Path
) -> None:
    Image.new("RGBA", (32, 32), (200, 30, 90, 0)).save(tmp_path / "some.png")
    benign = BenignSet(tmp_path, ((tmp_path / "some.png", "a ring"),))
    with pytest.raises(EvidenceError, match=r"The picture .*some\.png shows nothing"):
        finetuning.encode(pipeline, BACKBONE, benign, SIZE, 4)


def test_a_drawing_on_transparent_ground_is_trained_on_as_it_looks(
    pipeline: "StableDiffusionPipeline", tmp_path: Path
) -> None:
    """As the same drawing on white; before, both of these were one black picture."""
    import torch

    means = []
    for number, left in enumerate((8, 16)):
        drawing = np.zeros((32, 32, 4), np.uint8)
        drawing[8:24, left : left + 8, 3] = 255
        flat = np.where(drawing[..., 3:] == 255, 0, 255).astype(np.uint8).repeat(3, axis=2)
        for name, pixels in ((f"{number}.png", drawing), (f"flat-{number}.png", flat)):
            Image.fromarray(pixels).save(tmp_path / name)
            benign = BenignSet(tmp_path, ((tmp_path / name, "a ring"),))
            means.append(finetuning.encode(pipeline, BACKBONE, benign, SIZE, 4).mean)
    assert torch.equal(means[0], means[1])
    assert torch.equal(means[2], means[3])
    assert not torch.equal(means[0], means[2])


def test_lora_targets_that_the_denoiser_lacks_are_an_error(
    pipeline: "StableDiffusionPipeline", benign_set: BenignSet
) -> None:
    with pytest.raises(
        EvidenceError,
        match=(
            r"The profile that trains lora does not fit this denoiser: Target modules"
            r" .*no_such_layer"
        ),
    ):
        _finetune(
            pipeline,
            benign_set,
            ProfileSettings(trains="lora", steps=1, targets=("no_such_layer",)),
        )


@PROFILES
def test_weights_of_another_profile_are_refused(
    pipeline: "StableDiffusionPipeline",
    benign_set: BenignSet,
    profile: ProfileSettings,
) -> None:
    other = MODERATE if profile is not MODERATE else LITE
    tensors = _finetune(pipeline, benign_set, other).tensors
    with pytest.raises(EvidenceError, match="do not fit the profile that they are stored for"):
        finetuning.apply(pipeline.unet, BACKBONE, profile, tensors)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_mixed_precision_trains_weights_in_full_precision(
    pipeline: "StableDiffusionPipeline", benign_set: BenignSet, plain: FineTuned, precision: str
) -> None:
    import torch

    mixed = _finetune(pipeline, benign_set, MODERATE, mixed_precision=precision)
    assert {tensor.dtype for tensor in mixed.tensors.values()} == {torch.float32}
    # accelerate has no fp16 on the CPU, and trains in full precision there.
    assert (mixed.first_loss == plain.first_loss) is (
        precision == "fp16" and pipeline.device.type == "cpu"
    )
    assert mixed.first_loss == pytest.approx(plain.first_loss, rel=0.02)
    start = _state(pipeline.unet)
    assert all((tensor != start[name]).any() for name, tensor in mixed.tensors.items())
