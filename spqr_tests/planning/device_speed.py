"""How fast a device computes: measured when a plan is made, for its estimate of time."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spqr_tests.store.computing import computing

if TYPE_CHECKING:
    import torch

_SIZES = (256, 512, 1024, 2048, 4096, 8192)
_LONG_ENOUGH = 0.05
"""Seconds; a matrix that takes longer is large enough."""
_REPEATS = 3


@dataclass(frozen=True)
class Share:
    """The share of a matrix product's rate that generating and training reach.

    `value` is in (0, 1]; `because` says where it is from.
    """

    value: float
    because: str


CPU = Share(
    # Forward 65 %, forward and backward 59 %, of 72 GFLOP/s.
    0.6,
    "measured with the embedded checkpoint's denoiser in one thread, as the suite computes on a"
    " CPU",
)
"""Of models that are too large to be tried out; `devices` has those of cards."""


def measure(device: str, dtype: str) -> float:
    """The rate of a product of two square matrices, in FLOP/s.

    `device` is 'cpu', 'cuda' or 'cuda:N', `dtype` 'float32', 'float16' or 'bfloat16'. The best of
    several sizes counts; all together take well below a second.
    """
    import torch

    best = 0.0
    with computing(device):
        generator = torch.Generator(device).manual_seed(0)
        for size in _SIZES:
            # Random, since cards multiply equal numbers faster than a model's.
            matrix = torch.empty(size, size, device=device, dtype=getattr(torch, dtype))
            matrix.normal_(generator=generator)
            shortest = min(_seconds(matrix) for _ in range(_REPEATS))
            best = max(best, 2 * size**3 / shortest)
            if shortest > _LONG_ENOUGH:
                break
    return best


def _seconds(matrix: "torch.Tensor") -> float:
    began = time.perf_counter()
    product = matrix @ matrix
    float(product[0, 0])  # waits until the device is done
    return max(time.perf_counter() - began, 1e-9)
