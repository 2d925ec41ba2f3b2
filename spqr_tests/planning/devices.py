"""Devices that a plan can be for: how fast they compute, what they hold, and where that is from.

Rates are the makers' (NVIDIA's data sheets, dense, without sparsity). A product of two large
matrices reaches a part of them, and generating and training a part of that.
"""

import math
from dataclasses import dataclass

from spqr_tests.settings.finetuning import ProfileSettings

_REACHED = 0.74
"""Of the maker's rate, by a product of two matrices in float16.

Measured on an H100: 732 of 989 TFLOP/s, the mean of float16 and bfloat16.
"""


@dataclass(frozen=True)
class Device:
    """One kind of card."""

    half: float
    """FLOP/s of tensor cores in float16 or bfloat16."""
    single: float
    """FLOP/s in float32."""
    memory: int
    """Bytes."""

    def rate(self, dtype: str) -> float:
        """FLOP/s that a product of two large matrices reaches."""
        return _REACHED * (self.single if dtype == "float32" else self.half)


DEVICES = {
    "h200": Device(989e12, 67e12, 141 * 10**9),
    "h100": Device(989e12, 67e12, 80 * 10**9),
    "a100": Device(312e12, 19.5e12, 80 * 10**9),
    "l40s": Device(362e12, 91.6e12, 48 * 10**9),
    "l4": Device(121e12, 30.3e12, 24 * 10**9),
}
"""By the names that `--spqr-plan-device` takes."""


@dataclass(frozen=True)
class Reached:
    """The shares of a matrix product's rate that a model reaches on a card, each in (0, 1]."""

    model: str
    forward: float
    """FLOPs of one forward pass of the denoiser for one image."""
    generate: float
    train: dict[str, float]
    """By `profiles.NAME.trains`."""


_REACHED_BY = (
    # On an H200 (docs/performance-card.md), in micro-batches of 16; of 8, a tenth less.
    Reached(
        "Stable Diffusion 1.5 at 512 pixels",
        0.80e12,
        0.35,
        {"lora": 0.17, "cross-attention": 0.23, "denoiser": 0.24},
    ),
    Reached(
        "Stable Diffusion XL at 1024 pixels",
        6.0e12,
        0.36,
        {"lora": 0.18, "cross-attention": 0.25, "denoiser": 0.28},
    ),
    # Its training did not fit the card.
    Reached(
        "FLUX.1 at 1024 pixels",
        74e12,
        0.49,
        {"lora": 0.18, "cross-attention": 0.25, "denoiser": 0.28},
    ),
)
_SMALL = 0.1


def reached(forward: float) -> Reached:
    """What the measured model reaches whose forward pass is nearest to so many FLOPs."""
    return min(_REACHED_BY, key=lambda one: abs(math.log(one.forward / max(forward, 1.0))))


def because(found: Reached, forward: float) -> str:
    """Where the shares are from, for a model whose forward pass has so many FLOPs."""
    said = (
        "measured on one H100 or H200 in 16 bits with random weights of the size of"
        f" {found.model}, the nearest to this one"
    )
    if forward < _SMALL * found.forward:
        said += "; one as small as this reaches far less"
    return said


def training_share(found: Reached, profile: ProfileSettings) -> float:
    """The share of a profile's training."""
    return found.train.get(profile.trains, min(found.train.values()))
