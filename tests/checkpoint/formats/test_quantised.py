"""Quantised weights: which are refused with what reason, and float8, which any library reads."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spqr_tests.checkpoint.checkpoint import read
from spqr_tests.errors import InputError
from spqr_tests.store import libraries
from tests.checkpoint.tiny_pipelines import FolderOf
from tests.tiny import backbones, edit_json

_INT8 = {
    "quant_method": "torchao",
    "quant_type": {"default": {"_type": "Int8WeightOnlyConfig", "_version": 2, "_data": {}}},
}
_INT4 = {
    "quant_method": "torchao",
    "quant_type": {"default": {"_type": "Int4WeightOnlyConfig", "_version": 2, "_data": {}}},
}


CopyOf = Callable[[str], Path]


@pytest.fixture
def copy_of(pipeline_folder_of: FolderOf, tmp_path: Path) -> CopyOf:
    def copy(name: str) -> Path:
        return Path(shutil.copytree(pipeline_folder_of(name), tmp_path / "copy"))

    return copy


@pytest.mark.parametrize(
    ("component", "config", "said"),
    [
        ("unet", {"quant_method": "bitsandbytes"}, "(bitsandbytes), which are not read: diffusers"),
        ("unet", {"quant_method": "gguf"}, "(gguf), which are not read: they are a file"),
        ("unet", {"quant_method": "quanto"}, "(quanto), which are not read; pass them in"),
        ("unet", {"quant_method": ["torchao"]}, "which are not read; pass them in"),
        ("unet", "int8", "('int8'), which are not read; pass them in"),
        ("unet", _INT4, "'Int4WeightOnlyConfig'; of torchao's ways Int8WeightOnlyConfig is read"),
        ("unet", {"quant_method": "torchao"}, "torchao's None; of torchao's ways"),
        ("text_encoder", _INT8, "the weights of a text encoder are quantised (torchao)"),
    ],
)
@pytest.mark.parametrize("weightless", [False, True])
def test_other_ways_are_refused_by_name(
    copy_of: CopyOf, component: str, config: Any, said: str, *, weightless: bool
) -> None:
    folder = copy_of("sd1")
    edit_json(
        folder / component / "config.json",
        lambda table: table.update(quantization_config=config),
    )
    with pytest.raises(InputError) as refused:
        read("copy", folder, weightless=weightless)
    assert f"{folder / component / 'config.json'} says that the weights" in str(refused.value)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("name", "version"),
    [("torchao", None), ("torchao", "0.17.1"), ("diffusers", "0.38.0"), ("peft", "0.17.0")],
)
def test_without_the_libraries_it_says_what_to_install(
    copy_of: CopyOf, monkeypatch: pytest.MonkeyPatch, name: str, version: str | None
) -> None:
    installed = {"torchao": "0.18.0+cpu", "diffusers": "0.42.0", "peft": "0.21.0", name: version}
    monkeypatch.setattr(libraries, "version", lambda asked: installed[asked])
    folder = copy_of("sd1")
    edit_json(
        folder / "unet" / "config.json", lambda table: table.update(quantization_config=_INT8)
    )
    with pytest.raises(InputError) as refused:
        read("copy", folder)
    assert f"needs {name} 0." in str(refused.value)
    assert f"{version or 'none'} is installed: pip install 'spqr-tests[torchao]'" in str(
        refused.value
    )


def test_plain_weights_are_not_what_a_quantised_config_promises(
    copy_of: CopyOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries, "version", lambda _: "99.0")
    folder = copy_of("sd1")
    edit_json(
        folder / "unet" / "config.json", lambda table: table.update(quantization_config=_INT8)
    )
    with pytest.raises(InputError, match="does not hold what its config calls weights quantised"):
        read("copy", folder)


@pytest.fixture(scope="module", params=["float8_e4m3fn", "float8_e5m2"])
def dtype(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def float8(tmp_path_factory: pytest.TempPathFactory, dtype: str) -> Path:
    """A pipeline whose denoiser diffusers saved in 8 bits."""
    import torch

    pipeline = backbones.make("sd1")
    pipeline.unet.to(getattr(torch, dtype))
    folder = tmp_path_factory.mktemp("float8") / dtype
    pipeline.save_pretrained(folder)
    return folder


def _images(pipeline: Any) -> Any:
    import torch

    return pipeline(
        "a red heart",
        generator=torch.Generator().manual_seed(7),
        num_inference_steps=2,
        height=backbones.SIDE,
        width=backbones.SIDE,
        output_type="np",
    ).images


def test_float8_is_computed_as_diffusers_layerwise_casting_does(float8: Path, dtype: str) -> None:
    import torch
    from diffusers import StableDiffusionPipeline

    own = StableDiffusionPipeline.from_pretrained(float8).to(torch.float32)
    own.set_progress_bar_config(disable=True)
    own.unet.enable_layerwise_casting(getattr(torch, dtype), torch.float32)
    assert any(one.dtype == getattr(torch, dtype) for one in own.unet.parameters())
    loaded = read("float8", float8).pipeline("cpu", "float32")
    np.testing.assert_allclose(_images(loaded), _images(own), rtol=0, atol=1e-5)


def test_float8_has_the_files_numbers_and_a_name(float8: Path, dtype: str, tmp_path: Path) -> None:
    """Each weight is off by half a step of its mantissa, of 3 or 2 bits, and the name says so."""
    import torch

    pipeline = backbones.make("sd1")
    pipeline.save_pretrained(tmp_path / "full")
    full, stored = read("full", tmp_path / "full"), read("float8", float8)
    assert stored.fingerprint != full.fingerprint
    assert f"its unet is stored in {dtype} (208 of its 208 tensors)" in " ".join(stored.recognised)
    assert "stored in" not in " ".join(full.recognised)
    bits, smallest = {"float8_e4m3fn": (3, 2.0**-9), "float8_e5m2": (2, 2.0**-16)}[dtype]
    plain = dict(pipeline.unet.named_parameters())
    for name, weight in stored.pipeline("cpu", "float32").unet.named_parameters():
        bound = (plain[name].abs() * 2.0 ** -(bits + 1)).clamp(min=smallest / 2)
        assert ((weight - plain[name]).abs() <= bound).all(), name
        assert torch.equal(weight, plain[name].to(getattr(torch, dtype)).float())


def test_a_lora_is_added_to_the_numbers_and_not_rounded_to_8_bits(
    float8: Path, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import save_file

    pipeline = read("float8", float8).pipeline("cpu", "float32")
    pipeline.save_pretrained(tmp_path / "upcast")
    name = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    rows, columns = pipeline.unet.get_submodule(name).weight.shape
    small = {
        f"unet.{name}.lora_A.weight": torch.full((1, columns), 1e-3),
        f"unet.{name}.lora_B.weight": torch.full((rows, 1), 1e-3),
    }
    save_file(small, tmp_path / "lora.safetensors")
    weights = [
        read(folder.name, folder, overlays=[tmp_path / "lora.safetensors"])
        .pipeline("cpu", "float32")
        .unet.get_submodule(name)
        .weight
        for folder in (float8, tmp_path / "upcast")
    ]
    assert torch.equal(*weights)
    added = weights[0] - pipeline.unet.get_submodule(name).weight
    torch.testing.assert_close(added, torch.full_like(added, 1e-6), rtol=0, atol=1e-7)
