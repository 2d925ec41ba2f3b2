"""Playground 2.5: the components of Stable Diffusion XL, trained from nothing by EDM's recipe."""

from types import MappingProxyType

from spqr_tests.checkpoint.backbones.backbone import Defaults
from spqr_tests.checkpoint.backbones.stable_diffusion_xl import StableDiffusionXL
from spqr_tests.checkpoint.formats.layouts.playground import ORIGINAL


class Playground(StableDiffusionXL):
    """Denoises as Karras et al. precondition it (arXiv 2206.00364), on normalised latents.

    Its index names Stable Diffusion XL's pipeline; the scheduler tells them apart.
    """

    name = "Playground 2.5"
    schedulers = frozenset({"EDMDPMSolverMultistepScheduler", "EDMEulerScheduler"})
    samplers = MappingProxyType(
        {"dpmsolver++": "EDMDPMSolverMultistepScheduler", "euler": "EDMEulerScheduler"}
    )
    predictions = ("epsilon",)
    statistics = True
    defaults = Defaults(50, 3.0)
    original = ORIGINAL

    @property
    def trained_by(self) -> str:
        """EDM's loss."""
        return "EDM's preconditioned loss"


BACKBONE = Playground()
