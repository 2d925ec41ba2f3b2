"""Benign fine-tuning of every backbone: what it trains, and what it leaves alone."""

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from spqr_tests.checkpoint.backbones.stable_diffusion import StableDiffusion
from spqr_tests.errors import EvidenceError
from spqr_tests.generation import finetuning
from spqr_tests.settings.finetuning import ProfileSettings
from tests.testing.facts import SUBJECTS
from tests.tiny.backbones import backbone_of, make

if TYPE_CHECKING:
    import torch
from tests.generation.families import LITE, MODERATE, STANDARD, Family

PROFILES = pytest.mark.parametrize(
    "profile", [LITE, MODERATE, STANDARD], ids=["lite", "moderate", "standard"]
)


def test_the_pictures_attention_to_itself_is_no_cross_attention() -> None:
    from diffusers import SD3Transformer2DModel

    pipeline = make("sd3")
    config = {
        name: value
        for name, value in pipeline.transformer.config.items()
        if not name.startswith("_")
    }
    medium = SD3Transformer2DModel(
        **config | {"qk_norm": "rms_norm", "dual_attention_layers": (0,)}
    )
    assert any(".attn2.to_out.0." in name for name, _ in medium.named_parameters())
    _, trained = finetuning.trainable(medium, backbone_of(pipeline), MODERATE, frozen=medium.dtype)
    assert trained.keys() == SUBJECTS["sd3"]().cross_attention


@PROFILES
def test_under_mixed_precision_what_is_frozen_stays_in_the_checkpoints_dtype(
    family: Family, profile: ProfileSettings
) -> None:
    import torch

    half = copy.copy(family)
    half.pipeline = copy.deepcopy(family.pipeline).to(torch.bfloat16)
    tuned = half.finetune(profile, mixed_precision="bf16")
    assert {tensor.dtype for tensor in tuned.tensors.values()} == {torch.float32}
    denoiser, trained = finetuning.trainable(
        half.denoiser, half.backbone, profile, frozen=torch.bfloat16
    )
    assert {parameter.dtype for parameter in trained.values()} == {torch.float32}
    frozen = {name: tensor for name, tensor in denoiser.state_dict().items() if name not in trained}
    assert {tensor.dtype for tensor in frozen.values()} <= {torch.bfloat16}
    variant = finetuning.apply(half.denoiser, half.backbone, profile, tuned.tensors)
    assert {parameter.dtype for parameter in variant.parameters()} == {torch.bfloat16}


def test_without_mixed_precision_everything_is_trained_in_full_precision(family: Family) -> None:
    import torch

    half = copy.copy(family)
    half.pipeline = copy.deepcopy(family.pipeline).to(torch.bfloat16)
    seen: set[Any] = set()
    hook = half.denoiser.register_forward_pre_hook(
        lambda denoiser, _: seen.update(p.dtype for p in denoiser.parameters())
    )
    full = half.finetune(MODERATE)
    hook.remove()
    assert seen == {torch.float32}
    mixed = half.finetune(MODERATE, mixed_precision="bf16")
    assert mixed.first_loss == pytest.approx(full.first_loss, rel=0.05)
    assert mixed.first_loss != full.first_loss


class Meddling(StableDiffusion):
    """A backbone that changes a weight which no profile but the standard one trains."""

    def predict(self, denoiser: Any, *given: Any) -> "torch.Tensor":
        import torch

        with torch.no_grad():
            denoiser.conv_in.bias.add_(1)
        return super().predict(denoiser, *given)


@PROFILES
def test_a_frozen_parameter_that_changed_is_an_error(
    families: Callable[[str], Family], profile: ProfileSettings
) -> None:
    family = families("sd1")
    if profile is STANDARD:
        assert family.finetune(profile, Meddling()).steps == 2, "everything is trained"
        return
    with pytest.raises(
        EvidenceError, match=r"^Fine-tuning changed conv_in\.bias, which its profile does not train"
    ):
        family.finetune(profile, Meddling())


def test_a_parameter_that_was_lost_is_an_error(families: Callable[[str], Family]) -> None:
    denoiser = families("sd1").denoiser
    less = copy.deepcopy(denoiser)
    del less.conv_out
    with pytest.raises(EvidenceError, match=r"^Fine-tuning lost conv_out\.bias; "):
        finetuning._require_frozen(denoiser, less, {})
