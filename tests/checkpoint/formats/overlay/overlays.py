"""Overlays as safety methods ship them, made from tiny pipelines."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from spqr_tests.checkpoint.formats import overlay
from spqr_tests.checkpoint.parts import Parts
from spqr_tests.errors import InputError
from tests.checkpoint.tiny_pipelines import Tensors
from tests.tiny import backbones

Q = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"


def changed(name: str, *components: str, only: str = "") -> Any:
    """A backbone's pipeline in which tensors of some components were changed.

    Those are the tensors with `only` in their name.
    """
    pipeline = backbones.make(name)
    generator = torch.Generator().manual_seed(1)
    for component in components:
        for key, tensor in getattr(pipeline, component).named_parameters():
            if only in key:
                tensor.data += 0.1 * torch.randn(tensor.shape, generator=generator)
    return pipeline


def save(path: Path, tensors: Tensors) -> Path:
    if path.suffix == ".safetensors":
        save_file({name: tensor.clone() for name, tensor in tensors.items()}, path)
    else:
        torch.save(tensors, path)
    return path


def apply(parts: Parts, path: Path, *, allow_pickle: bool = True) -> tuple[Parts, str]:
    result, recognised = overlay.apply(parts, path, allow_pickle=allow_pickle)
    return result, recognised.sentence


def refusal(parts: Parts, path: Path, *, allow_pickle: bool = True) -> str:
    with pytest.raises(InputError) as error:
        overlay.apply(parts, path, allow_pickle=allow_pickle)
    return str(error.value)


def low_rank(prefix: str = "unet.") -> Tensors:
    generator = torch.Generator().manual_seed(0)
    down, up = torch.randn(1, 8, generator=generator), torch.randn(8, 1, generator=generator)
    return {f"{prefix}{Q}.lora_A.weight": down, f"{prefix}{Q}.lora_B.weight": up}
