"""Random LoRAs for tiny pipelines, their files, and what they add to the weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from spqr_tests.checkpoint.formats.safetensors_file import SafetensorsFile
from spqr_tests.checkpoint.lora import update
from spqr_tests.checkpoint.lora.file import LoraFile
from spqr_tests.checkpoint.lora.file import read as read_lora
from spqr_tests.checkpoint.parts import Parts
from tests.checkpoint.tiny_pipelines import Tensors, state
from tests.tiny import backbones

# Linear modules, and convolutions of 1 x 1 and 3 x 3, in diffusers' names.
ATTENTION = "down_blocks.0.attentions.0.transformer_blocks.0"


SD1_UNET = (
    f"{ATTENTION}.attn1.to_q",
    f"{ATTENTION}.attn2.to_k",
    f"{ATTENTION}.attn2.to_out.0",
    f"{ATTENTION}.ff.net.0.proj",
    f"{ATTENTION}.ff.net.2",
    "down_blocks.0.attentions.0.proj_in",
    "down_blocks.0.resnets.0.conv1",
    "mid_block.attentions.0.transformer_blocks.0.attn2.to_v",
)


SD1_TEXT = (
    "encoder.layers.0.self_attn.q_proj",
    "encoder.layers.1.self_attn.out_proj",
    "encoder.layers.1.mlp.fc1",
)


def matrices(
    model: Any, modules: tuple[str, ...], rank: int = 3, *, dtype: torch.dtype = torch.float32
) -> dict[str, tuple[Any, Any]]:
    """Random down and up matrices of each module."""
    generator = torch.Generator().manual_seed(rank)
    weights = state(model)
    found = {}
    for module in modules:
        weight = weights[f"{module}.weight"]
        ones = (1,) * (weight.ndim - 2)
        down = 0.3 * torch.randn(rank, *weight.shape[1:], generator=generator)
        found[module] = (
            down.to(dtype),
            torch.randn(weight.shape[0], rank, *ones, generator=generator).to(dtype),
        )
    return found


def kohya(prefix: str, pairs: Mapping[str, tuple[Any, Any]], alpha: float | None = None) -> Tensors:
    tensors = {}
    for module, (down, up) in pairs.items():
        name = f"{prefix}_{module.replace('.', '_')}"
        tensors |= {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}
        if alpha is not None:
            tensors[f"{name}.alpha"] = torch.tensor(alpha)
    return tensors


def peft(prefix: str, pairs: Mapping[str, tuple[Any, Any]]) -> Tensors:
    return {
        name: tensor
        for module, (down, up) in pairs.items()
        for name, tensor in (
            (f"{prefix}{module}.lora_A.weight", down),
            (f"{prefix}{module}.lora_B.weight", up),
        )
    }


def save(path: Path, tensors: Tensors, metadata: dict[str, str] | None = None) -> SafetensorsFile:
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, path, metadata)
    return SafetensorsFile(path)


def read(file: SafetensorsFile, parts: Parts, config: Mapping[str, Any] | None = None) -> LoraFile:
    found = read_lora(file, parts, config)
    assert found is not None
    return found


def merged(parts: Parts, *loras: update.Lora) -> dict[str, Tensors]:
    result = {}
    for component, model in parts.models.items():
        tensors = {name: piece.tensor() for name, piece in model.tensors.items()}
        update.merge(tensors, component, loras)
        result[component] = tensors
    return result


def require_close(ours: dict[str, Tensors], pipeline: Any, changed: Mapping[str, int]) -> None:
    """Fail unless weights equal the pipeline's to float precision.

    `changed` is the number of tensors, by component, that must differ from the base.
    """
    for component, tensors in ours.items():
        theirs = state(getattr(pipeline, component))
        assert tensors.keys() == theirs.keys()
        for name, tensor in tensors.items():
            torch.testing.assert_close(
                tensor, theirs[name], rtol=1e-5, atol=1e-6, msg=f"{component}.{name}"
            )
    base = backbones.make(NAMES[type(pipeline).__name__])
    for component, tensors in ours.items():
        before = state(getattr(base, component))
        assert sum(
            not torch.equal(tensor, before[name]) for name, tensor in tensors.items()
        ) == changed.get(component, 0)


NAMES = {
    "StableDiffusionPipeline": "sd1",
    "StableDiffusionXLPipeline": "sdxl",
    "StableDiffusion3Pipeline": "sd3",
    "FluxPipeline": "flux",
}


def fused(name: str, path: Path) -> Any:
    """A backbone's pipeline into which diffusers merged a LoRA file."""
    pipeline = backbones.make(name)
    pipeline.load_lora_weights(path)
    # FLUX leaves its text encoder out unless it is named.
    pipeline.fuse_lora(
        ["transformer", "text_encoder"] if name == "flux" else list(pipeline._lora_loadable_modules)
    )
    pipeline.unload_lora_weights()
    return pipeline
