"""Tiny pipelines whose denoiser is quantised, by diffusers' own code."""

from pathlib import Path
from typing import Any

from tests.tiny.backbones import backbone_of, make


def build(name: str, folder: Path) -> tuple[Any, Path]:
    """A backbone's pipeline, and the folder in which it is saved with int8 weights by torchao."""
    import torch
    from diffusers import TorchAoConfig
    from torchao.quantization import Int8WeightOnlyConfig

    pipeline = make(name)
    denoiser = backbone_of(pipeline).denoiser
    full = getattr(pipeline, denoiser)
    full.save_pretrained(folder / "full")
    packed = type(full).from_pretrained(
        folder / "full",
        quantization_config=TorchAoConfig(Int8WeightOnlyConfig()),
        torch_dtype=torch.float32,
    )
    setattr(pipeline, denoiser, packed)
    pipeline.save_pretrained(folder / "int8")
    setattr(pipeline, denoiser, full)
    return pipeline, folder / "int8"
