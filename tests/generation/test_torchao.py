"""Fine-tuning on a base that torchao quantised: as QLoRA does, and nothing else changes."""

from pathlib import Path
from typing import Any

import pytest

from spqr_tests.checkpoint import packed
from spqr_tests.checkpoint.checkpoint import read
from spqr_tests.data.pictures import BenignSet
from spqr_tests.errors import EvidenceError
from spqr_tests.generation import finetuning
from tests.generation.families import LITE, Family
from tests.tiny import quantised


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    _, folder = quantised.build("sd1", tmp_path_factory.mktemp("quantised"))
    return folder


@pytest.fixture(scope="module")
def family(folder: Path, benign_set: BenignSet) -> Family:
    return Family("sd1", benign_set, read("int8", folder).pipeline("cpu", "float32"))


def _predicted(denoiser: Any) -> Any:
    import torch

    torch.manual_seed(1)
    side, width = 8, denoiser.config.cross_attention_dim
    given = torch.randn(2, 4, side, side), 500, torch.randn(2, 5, width)
    # In the dtype of what is not packed.
    with torch.inference_mode():
        first, time, text = given
        return denoiser(first.to(denoiser.dtype), time, text.to(denoiser.dtype)).sample.float()


@pytest.mark.parametrize("mixed", ["no", "bf16"])
def test_lora_learns_beside_packed_weights_that_stay(family: Family, mixed: str) -> None:
    import torch

    before = family.denoiser.state_dict()
    profile = LITE.model_copy(update={"steps": 12})
    tuned = family.finetune(profile, mixed_precision=mixed)
    assert tuned.last_loss < tuned.first_loss
    assert all(".lora_" in name for name in tuned.tensors)
    variant = finetuning.apply(family.denoiser, family.backbone, profile, tuned.tensors)
    kept = {
        name.replace(".base_layer.", "."): tensor
        for name, tensor in variant.state_dict().items()
        if ".lora_" not in name
    }
    assert kept.keys() == before.keys()
    assert all(packed.same(kept[name], tensor) for name, tensor in before.items())
    assert any(packed.is_one(tensor) for tensor in kept.values())
    original, tuned_values = _predicted(family.denoiser), _predicted(variant)
    assert not torch.equal(original, tuned_values)
    # What the adapter adds, computed by hand: the same weights, unpacked, and the products of its
    # two matrices.
    by_hand = _unpacked(family.denoiser)
    for name in {key.rpartition(".lora_")[0] for key in tuned.tensors}:
        down = next(v for k, v in tuned.tensors.items() if k.startswith(f"{name}.lora_A"))
        up = next(v for k, v in tuned.tensors.items() if k.startswith(f"{name}.lora_B"))
        scale = profile.alpha / profile.rank
        by_hand.get_submodule(name).weight.data += scale * (up @ down)
    torch.testing.assert_close(tuned_values, _predicted(by_hand), rtol=0, atol=1e-4)


def _unpacked(denoiser: Any) -> Any:
    """A plain model with the numbers that the packed weights stand for."""
    state = {
        name: tensor.dequantize() if packed.is_one(tensor) else tensor
        for name, tensor in denoiser.state_dict().items()
    }
    config = {
        key: value
        for key, value in denoiser.config.items()
        if not key.startswith("_") and key != "quantization_config"
    }
    model = type(denoiser)(**config)
    model.load_state_dict(state, strict=True)
    return model.eval().requires_grad_(False)


def test_a_training_is_repeated_to_the_bit(family: Family) -> None:
    import torch

    one, other = family.finetune(LITE), family.finetune(LITE)
    assert one.tensors.keys() == other.tensors.keys()
    assert all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)


def test_a_packed_weight_that_changed_is_an_error(family: Family) -> None:
    import copy

    changed = copy.deepcopy(family.denoiser)
    weight = next(one for one in changed.parameters() if packed.is_one(one))
    weight.qdata[0, 0] += 1
    with pytest.raises(EvidenceError, match=r"Fine-tuning changed .*weight, which its profile"):
        finetuning._require_frozen(family.denoiser, changed, {})


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_what_is_not_packed_is_trained_and_applied_in_one_dtype(
    folder: Path, family: Family, dtype: str
) -> None:
    import torch

    pipeline = read("int8", folder).pipeline("cpu", dtype)
    trained, parameters = finetuning.trainable(
        pipeline.unet, family.backbone, LITE, frozen=torch.float32
    )
    plain = {one.dtype for one in trained.parameters() if not packed.is_one(one)}
    assert plain == {torch.float32}
    tensors = {name: one.detach().clone() for name, one in parameters.items()}
    variant = finetuning.apply(pipeline.unet, family.backbone, LITE, tensors)
    assert {one.dtype for one in variant.parameters() if not packed.is_one(one)} == {
        getattr(torch, dtype)
    }
    # An adapter that was not trained adds nothing.
    torch.testing.assert_close(_predicted(variant), _predicted(pipeline.unet), rtol=0, atol=0)
