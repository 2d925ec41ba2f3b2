"""Models of published sizes on a card; random weights compute as fast as trained ones."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from benchmarks.sizes import architectures
from spqr_tests.checkpoint import loading
from spqr_tests.checkpoint.parts import Parts
from spqr_tests.planning.flops import Flops
from spqr_tests.settings.sampler import SamplerSettings


@dataclass(frozen=True)
class Model:
    """An architecture, and how it is sampled."""

    name: str
    preset: str
    settings: SamplerSettings

    @cached_property
    def parts(self) -> Parts:
        """The architecture's parts, without weights."""
        return architectures.published(self.preset)

    @cached_property
    def flops(self) -> Flops:
        """The operations of one image and of one training step."""
        return Flops(self.parts, self.settings)

    def pipeline(self, device: str) -> Any:
        """A pipeline of random weights on a device, in the settings' precision."""
        import torch

        torch.manual_seed(0)
        found = loading.skeleton(self.parts, device)
        for name in self.parts.models:
            getattr(found, name).to(getattr(torch, self.settings.dtype))
        return found


def sampled(
    side: int,
    steps: int,
    micro_batch: int,
    dtype: Literal["float16", "bfloat16"],
    guidance: float,
) -> SamplerSettings:
    """Settings of a square image."""
    return SamplerSettings(
        height=side,
        width=side,
        steps=steps,
        micro_batch=micro_batch,
        dtype=dtype,
        guidance=guidance,
    )


STABLE_DIFFUSION = Model(
    "Stable Diffusion 1.5 at 512 pixels", "sd1", sampled(512, 50, 16, "float16", 7.5)
)
# Few steps: a step takes as long as any other.
LARGE = (
    Model(
        "Stable Diffusion XL at 1024 pixels, 6 steps", "sdxl", sampled(1024, 6, 4, "float16", 5.0)
    ),
    Model("FLUX.1 at 1024 pixels, 4 steps", "flux-dev", sampled(1024, 4, 2, "bfloat16", 3.5)),
)
