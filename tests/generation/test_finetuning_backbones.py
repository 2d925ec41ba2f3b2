"""Benign fine-tuning of every backbone: what it trains, what it leaves alone, and that it learns."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from safetensors.torch import save_file

from spqr_tests.checkpoint.backbones.backbone import Backbone
from spqr_tests.checkpoint.backbones.stable_diffusion import StableDiffusion
from spqr_tests.data.pictures import BenignSet
from spqr_tests.errors import EvidenceError
from spqr_tests.generation import finetuning, objectives
from spqr_tests.generation.finetuning import Examples, FineTuned
from spqr_tests.settings.finetuning import OptimizerSettings, ProfileSettings
from spqr_tests.store import device
from tests.tiny import silent
from tests.tiny.backbones import NAMES, SIDE, backbone_of, make

if TYPE_CHECKING:
    import torch

SIZE = (SIDE, SIDE)
LITE = ProfileSettings(trains="lora", steps=2)
MODERATE = ProfileSettings(trains="cross-attention", steps=2)
STANDARD = ProfileSettings(trains="denoiser", steps=2)
PROFILES = pytest.mark.parametrize(
    "profile", [LITE, MODERATE, STANDARD], ids=["lite", "moderate", "standard"]
)


def _both(*modules: str) -> set[str]:
    return {f"{module}.{kind}" for module in modules for kind in ("weight", "bias")}


_JOINT = ("add_k_proj", "add_v_proj", "to_out.0")
_SD_BLOCKS = (
    "down_blocks.0.attentions.0",
    "up_blocks.1.attentions.0",
    "up_blocks.1.attentions.1",
    "mid_block.attentions.0",
)
_XL_BLOCKS = {
    "down_blocks.1.attentions.0": 2,
    "mid_block.attentions.0": 2,
    "up_blocks.0.attentions.0": 2,
    "up_blocks.0.attentions.1": 2,
}


def _cross(*blocks: str) -> set[str]:
    """Keys and values of a UNet have no bias."""
    return {
        f"{block}.attn2.{name}"
        for block in blocks
        for name in ("to_k.weight", "to_v.weight", "to_out.0.weight", "to_out.0.bias")
    }


# Written out: what brings the text into the denoiser.
CROSS_ATTENTION = {
    "sd1": _cross(*(f"{block}.transformer_blocks.0" for block in _SD_BLOCKS)),
    "sd2": _cross(*(f"{block}.transformer_blocks.0" for block in _SD_BLOCKS)),
    "sdxl": _cross(
        *(
            f"{block}.transformer_blocks.{layer}"
            for block, layers in _XL_BLOCKS.items()
            for layer in range(layers)
        )
    ),
    "sd3": _both(
        *(f"transformer_blocks.{block}.attn.{name}" for block in (0, 1) for name in _JOINT)
    ),
    "flux": _both(*(f"transformer_blocks.0.attn.{name}" for name in _JOINT)),
}
# Of transformers: every attention's projections, written out likewise.
ADAPTED = {
    "sd3": {
        f"transformer_blocks.{block}.attn.{name}"
        for block in (0, 1)
        for name in ("to_q", "to_k", "to_v", "to_out.0")
    },
    "flux": (
        {f"transformer_blocks.0.attn.{name}" for name in ("to_q", "to_k", "to_v", "to_out.0")}
        | {
            f"single_transformer_blocks.{block}.attn.{name}"
            for block in (0, 1)
            for name in ("to_q", "to_k", "to_v")
        }
    ),
}


class Family:
    """A backbone's pipeline, its backbone, and the benign set as its denoiser sees it."""

    def __init__(self, name: str, benign_set: BenignSet) -> None:
        device.prepare("cpu")
        self.name = name
        self.pipeline = make(name)
        self.backbone = backbone_of(self.pipeline)
        self.examples = finetuning.encode(self.pipeline, self.backbone, benign_set, SIZE, 4)

    @property
    def denoiser(self) -> Any:
        return getattr(self.pipeline, self.backbone.denoiser)

    def finetune(
        self, profile: ProfileSettings, backbone: Backbone | None = None, **changed: Any
    ) -> FineTuned:
        optimizer = OptimizerSettings(
            **{"learning_rate": 1e-2, "batch": 4, "mixed_precision": "no"} | changed
        )
        return finetuning.finetune(
            self.pipeline,
            backbone or self.backbone,
            self.examples,
            profile,
            optimizer,
            SIZE,
            self.progress,
        )

    progress: Callable[[int, int], None] = staticmethod(silent)

    def state(self) -> dict[str, Any]:
        """Every tensor of the pipeline's models."""
        return {
            f"{name}.{key}": tensor.clone()
            for name, part in self.pipeline.components.items()
            if hasattr(part, "state_dict")
            for key, tensor in part.state_dict().items()
        }


@pytest.fixture(scope="module")
def families(benign_set: BenignSet) -> Callable[[str], Family]:
    made: dict[str, Family] = {}

    def get(name: str) -> Family:
        if name not in made:
            made[name] = Family(name, benign_set)
        return made[name]

    return get


@pytest.fixture(params=NAMES)
def family(request: pytest.FixtureRequest, families: Callable[[str], Family]) -> Family:
    """One of each backbone; a test leaves it as it was."""
    return families(request.param)


def _differing(one: dict[str, Any], other: dict[str, Any]) -> set[str]:
    import torch

    assert one.keys() == other.keys()
    return {name for name in one if not torch.equal(one[name], other[name])}


# What is trained


@PROFILES
def test_a_profile_trains_its_parameters_and_leaves_everything_else(
    family: Family, profile: ProfileSettings, tmp_path: Path
) -> None:
    before = family.state()
    own = {name: tensor.clone() for name, tensor in family.denoiser.state_dict().items()}
    parameters = dict(family.denoiser.named_parameters())
    tuned = family.finetune(profile)
    assert not _differing(family.state(), before)
    save_file(tuned.tensors, tmp_path / "weights.safetensors")
    variant = finetuning.apply(
        family.denoiser, family.backbone, profile, tmp_path / "weights.safetensors"
    )
    changed = _differing(dict(variant.state_dict()), own)
    if profile is LITE:
        layers = {name.partition(".lora_")[0] for name in tuned.tensors}
        assert {f"{layer}.weight" for layer in layers} == changed
        targets = tuple(f".{target}" for target in profile.targets)
        assert layers == {
            name.removesuffix(".weight")
            for name in parameters
            if name.removesuffix(".weight").endswith(targets)
        }
        assert layers == ADAPTED.get(family.name, layers)
    elif profile is MODERATE:
        assert tuned.tensors.keys() == changed == CROSS_ATTENTION[family.name]
    else:
        assert tuned.tensors.keys() == parameters.keys()
        assert changed == parameters.keys()
    assert not _differing(family.state(), before)


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
    assert trained.keys() == CROSS_ATTENTION["sd3"]


@PROFILES
def test_under_mixed_precision_what_is_frozen_stays_in_the_checkpoints_dtype(
    family: Family, profile: ProfileSettings, tmp_path: Path
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
    save_file(tuned.tensors, tmp_path / "weights.safetensors")
    variant = finetuning.apply(
        half.denoiser, half.backbone, profile, tmp_path / "weights.safetensors"
    )
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


# What is learned


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


def _learns(family: Family, tmp_path: Path, **changed: Any) -> float:
    """The loss after a fine-tune, as a share of the loss before."""
    profile = STANDARD.model_copy(update={"steps": 25})
    save_file(family.finetune(profile, **changed).tensors, tmp_path / "weights.safetensors")
    variant = finetuning.apply(
        family.denoiser, family.backbone, profile, tmp_path / "weights.safetensors"
    )
    return _loss(family, variant) / _loss(family, family.denoiser)


@pytest.mark.parametrize(("name", "share"), [("sdxl", 0.5), ("sd3", 0.85), ("flux", 0.65)])
def test_few_pictures_are_learned_by_heart(
    families: Callable[[str], Family], tmp_path: Path, name: str, share: float
) -> None:
    assert _learns(families(name), tmp_path) < share


@pytest.mark.parametrize("what", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("gamma", [None, 5.0], ids=["plain", "min-SNR"])
def test_whatever_is_predicted_is_learned(
    families: Callable[[str], Family], tmp_path: Path, what: str, gamma: float | None
) -> None:
    family = copy.copy(families("sd1"))
    family.pipeline = copy.copy(family.pipeline)
    family.pipeline.scheduler = type(family.pipeline.scheduler).from_config(
        family.pipeline.scheduler.config, prediction_type=what
    )
    assert _learns(family, tmp_path, min_snr_gamma=gamma) < 0.7


# The moving average


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


# Memory


def _exhaust(family: Family, *, always: bool) -> tuple[Any, list[tuple[bool, int]]]:
    """Have the denoiser run out of memory at its second step while it keeps activations, or `always`."""
    import torch

    calls: list[tuple[bool, int]] = []

    def refuse(denoiser: Any, *_: Any) -> None:
        if denoiser.training:
            frugal = denoiser.is_gradient_checkpointing
            calls.append((frugal, sum(one is frugal for one, _ in calls)))
            if calls[-1][1] == 1 and (always or not frugal):
                raise torch.OutOfMemoryError("out of memory.\nTried to allocate too much.")

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
        " finetuning.batch, leave the profile out, or take a bigger card (out of memory.)."
    )
    assert calls == [(False, 0), (False, 1), (True, 0), (True, 1)]


# Examples


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
