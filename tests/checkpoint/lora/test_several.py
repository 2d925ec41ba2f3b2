"""Several adapters at once, each with a strength: the images that diffusers generates with them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.training_utils import _collate_lora_metadata
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict

from spqr_tests.checkpoint.checkpoint import read
from spqr_tests.checkpoint.strengths import Given
from spqr_tests.errors import InputError
from tests.checkpoint.lora.files import SD1_TEXT, SD1_UNET, kohya, matrices, peft, save
from tests.checkpoint.tiny_pipelines import FolderOf, state
from tests.tiny import backbones

FLUX = ("transformer_blocks.0.attn.to_q", "single_transformer_blocks.1.attn.to_v")


def images(pipeline: Any) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    found = pipeline(
        "a red heart",
        generator=generator,
        num_inference_steps=2,
        height=backbones.SIDE,
        width=backbones.SIDE,
        output_type="np",
    )
    return torch.from_numpy(found.images)


@pytest.mark.parametrize("name", ["sd1", "flux"])
def test_two_with_strengths(pipeline_folder_of: FolderOf, tmp_path: Path, name: str) -> None:
    pipeline = backbones.make(name)
    if name == "sd1":
        style = kohya("lora_unet", matrices(pipeline.unet, SD1_UNET, 2), 1.5)
        text = matrices(pipeline.text_encoder, SD1_TEXT, 2)
        style |= kohya("lora_te", {f"text_model.{key}": pair for key, pair in text.items()}, 1.5)
        # Some modules are changed by both.
        other = peft("unet.", matrices(pipeline.unet, SD1_UNET[:3], 3))
    else:
        style = peft("transformer.", matrices(pipeline.transformer, FLUX, 2))
        other = peft("transformer.", matrices(pipeline.transformer, FLUX[:1], 3))
    paths = [
        save(tmp_path / "style.safetensors", style).path,
        save(tmp_path / "other.safetensors", other).path,
    ]
    base = images(pipeline)
    for path in paths:
        pipeline.load_lora_weights(path, adapter_name=path.stem)
    pipeline.set_adapters(["style", "other"], [0.8, -0.5])
    given = [Given(path, strength) for path, strength in zip(paths, (0.8, -0.5), strict=True)]
    loaded = read("base", pipeline_folder_of(name), overlays=given)
    assert "tensors get a low-rank update at strength 0.8, in " in loaded.recognised[-2]
    assert "tensors get a low-rank update at strength -0.5, in " in loaded.recognised[-1]
    ours = images(loaded.pipeline("cpu", "float32"))
    torch.testing.assert_close(ours, images(pipeline), rtol=0, atol=1e-5)
    assert (ours - base).abs().max() > 1e-3


def test_a_dora_and_another(pipeline_folder_of: FolderOf, tmp_path: Path) -> None:
    """The lengths of a DoRA are drawn after its strength, as diffusers' active adapters do."""
    paths = []
    for name, settings in (
        ("style", {"use_dora": True, "target_modules": ["to_q", "to_k", "proj_in"]}),
        ("other", {"target_modules": ["to_q", "to_v"]}),
    ):
        pipeline = backbones.make("sd1")
        config = LoraConfig(r=2, lora_alpha=3, init_lora_weights=False, **settings)
        pipeline.unet.add_adapter(config)
        layers = get_peft_model_state_dict(pipeline.unet)
        pipeline.save_lora_weights(
            tmp_path / name,
            unet_lora_layers=layers,
            **_collate_lora_metadata({"unet": pipeline.unet}),
        )
        paths.append(tmp_path / name)
    pipeline = backbones.make("sd1")
    for path in paths:
        pipeline.load_lora_weights(path, adapter_name=path.stem)
    pipeline.set_adapters(["style", "other"], [0.6, -1.5])
    given = [Given(path, strength) for path, strength in zip(paths, (0.6, -1.5), strict=True)]
    loaded = read("base", pipeline_folder_of("sd1"), overlays=given)
    assert "tensors get a DoRA update at strength 0.6, in peft's names" in loaded.recognised[-2]
    ours = images(loaded.pipeline("cpu", "float32"))
    torch.testing.assert_close(ours, images(pipeline), rtol=0, atol=1e-5)


def test_a_strength_is_a_part_of_the_fingerprint(
    pipeline_folder_of: FolderOf, tmp_path: Path
) -> None:
    pairs = matrices(backbones.make("sd1").unet, SD1_UNET[:1])
    path = save(tmp_path / "a.safetensors", kohya("lora_unet", pairs, 2.0)).path
    plain, one, half, minus = (
        read("base", pipeline_folder_of("sd1"), overlays=[given])
        for given in (path, Given(path, 1.0), Given(path, 0.5), Given(path, -0.5))
    )
    assert one.fingerprint == plain.fingerprint
    assert one.recognised == plain.recognised
    assert len({checkpoint.fingerprint for checkpoint in (one, half, minus)}) == 3


def test_what_replaces_weights_has_no_strength(
    pipeline_folder_of: FolderOf, tmp_path: Path
) -> None:
    changed = {"conv_in.weight": state(backbones.make("sd1").unet)["conv_in.weight"] + 1}
    path = save(tmp_path / "esd.safetensors", changed).path
    with pytest.raises(InputError, match=r"esd\.safetensors replaces weights.*leave @0\.8 out"):
        read("base", pipeline_folder_of("sd1"), overlays=[Given(path, 0.8)])
    assert read("base", pipeline_folder_of("sd1"), overlays=[Given(path, 1.0)]).fingerprint
