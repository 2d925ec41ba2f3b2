"""The suite's own backbones as subjects of the cases: what no test can know, written out."""

from collections.abc import Callable
from functools import partial
from typing import Any

from spqr_tests.checkpoint.backbones import BACKBONES
from spqr_tests.testing.backbone_cases import Subject
from tests.tiny.backbones import SIDE, make

_PROJECTIONS = ("to_q", "to_k", "to_v", "to_out.0")
_JOINT = ("add_k_proj", "add_v_proj", "to_out.0")
_SD_LAYERS = [
    f"{block}.transformer_blocks.0"
    for block in (
        "down_blocks.0.attentions.0",
        "up_blocks.1.attentions.0",
        "up_blocks.1.attentions.1",
        "mid_block.attentions.0",
    )
]
_XL_LAYERS = [
    f"{block}.transformer_blocks.{layer}"
    for block in (
        "down_blocks.1.attentions.0",
        "mid_block.attentions.0",
        "up_blocks.0.attentions.0",
        "up_blocks.0.attentions.1",
    )
    for layer in (0, 1)
]


def _both(*modules: str) -> frozenset[str]:
    return frozenset(f"{module}.{kind}" for module in modules for kind in ("weight", "bias"))


def _cross(layers: list[str]) -> frozenset[str]:
    """Keys and values of a UNet have no bias."""
    return frozenset(
        f"{layer}.attn2.{name}"
        for layer in layers
        for name in ("to_k.weight", "to_v.weight", "to_out.0.weight", "to_out.0.bias")
    )


def _unet(layers: list[str]) -> frozenset[str]:
    return frozenset(
        f"{layer}.{attention}.{name}"
        for layer in layers
        for attention in ("attn1", "attn2")
        for name in _PROJECTIONS
    )


def _unpacked(pipeline: Any, tensor: Any, size: tuple[int, int]) -> Any:
    return pipeline._unpack_latents(tensor, *size, pipeline.vae_scale_factor)


def _subject(name: str, family: str, **known: Any) -> Subject:
    (backbone,) = (one for one in BACKBONES if one.name == family)
    return Subject(backbone, partial(make, name), side=SIDE, **known)


SUBJECTS: dict[str, Callable[[], Subject]] = {
    "sd1": lambda: _subject(
        "sd1",
        "Stable Diffusion",
        adapted=_unet(_SD_LAYERS),
        cross_attention=_cross(_SD_LAYERS),
        learned=0.7,
    ),
    "sd2": lambda: _subject(
        "sd2",
        "Stable Diffusion",
        adapted=_unet(_SD_LAYERS),
        cross_attention=_cross(_SD_LAYERS),
        learned=0.7,
    ),
    "sdxl": lambda: _subject(
        "sdxl",
        "Stable Diffusion XL",
        adapted=_unet(_XL_LAYERS),
        cross_attention=_cross(_XL_LAYERS),
        learned=0.5,
    ),
    "sd3": lambda: _subject(
        "sd3",
        "Stable Diffusion 3",
        adapted=frozenset(
            f"transformer_blocks.{block}.attn.{name}" for block in (0, 1) for name in _PROJECTIONS
        ),
        cross_attention=_both(
            *(f"transformer_blocks.{block}.attn.{name}" for block in (0, 1) for name in _JOINT)
        ),
        learned=0.92,
    ),
    "flux": lambda: _subject(
        "flux",
        "FLUX",
        # Single blocks have no output projection of their own.
        adapted=frozenset(f"transformer_blocks.0.attn.{name}" for name in _PROJECTIONS)
        | {
            f"single_transformer_blocks.{block}.attn.{name}"
            for block in (0, 1)
            for name in _PROJECTIONS[:3]
        },
        cross_attention=_both(*(f"transformer_blocks.0.attn.{name}" for name in _JOINT)),
        # The denoiser sees packed rows, and times from 0 to 1.
        as_latents=_unpacked,
        times=1 / 1000,
        learned=0.65,
    ),
}
