"""Optimizers: AdamW, or bitsandbytes' with moments of 8 bits."""

from typing import TYPE_CHECKING, Any

from spqr_tests.settings.finetuning import OptimizerSettings, ProfileSettings
from spqr_tests.store import libraries

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

LIBRARY = "bitsandbytes"
_ON_CPUS = (0, 50)
"""Its first version that was tried on a CPU."""


def in_force(profile: ProfileSettings, device: str) -> dict[str, Any] | None:
    """What a profile is trained with on a device, for its key; None unless it asks for 8 bits.

    Where bitsandbytes is not installed it is AdamW in full precision: the same updates, but for the
    rounding of the moments.
    """
    if profile.optimizer != "adamw8bit":
        return None
    found = libraries.minor((LIBRARY,))
    if not found or (not device.startswith("cuda") and _number(found[LIBRARY]) < _ON_CPUS):
        return {"optimizer": "adamw"}
    return {"optimizer": "adamw8bit", "libraries": found}


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def make(
    groups: "Sequence[Mapping[str, Any]]",
    profile: ProfileSettings,
    settings: OptimizerSettings,
    device: "torch.device",
) -> Any:
    """The optimizer of these parameters: groups with `params`, and `lr` where it is their own."""
    import torch

    numbers: dict[str, Any] = {
        "lr": settings.learning_rate,
        "betas": (settings.beta1, settings.beta2),
        "eps": settings.eps,
        "weight_decay": settings.weight_decay,
    }
    found = in_force(profile, device.type)
    if found is not None and found["optimizer"] == "adamw8bit":
        import bitsandbytes

        return bitsandbytes.optim.AdamW8bit([dict(group) for group in groups], **numbers)
    return torch.optim.AdamW([dict(group) for group in groups], fused=True, **numbers)
