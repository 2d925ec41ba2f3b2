"""Low-rank updates (LoRA): changes of named weights, whichever trainer named them."""

import hashlib
import json
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from spqr_tests.checkpoint.formats.tensor import ModelTensor
from spqr_tests.errors import InputError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Update:
    """W += scale * up @ down for one tensor of a component (LoRA: arXiv 2106.09685).

    `up` is (out, rank) and `down` (rank, in). For a convolution they have its trailing axes: up
    (out, rank, 1, 1), down (rank, in, k, k).
    """

    component: str
    tensor: str
    """The name of W: the module's name and `.weight`."""
    down: ModelTensor
    up: ModelTensor
    scale: float


@dataclass(frozen=True)
class Lora:
    """The updates of one adapter file."""

    updates: tuple[Update, ...]

    def scaled(self, strength: float) -> "Lora":
        """The same updates, `strength` times as strong; 1 changes nothing."""
        return Lora(
            tuple(replace(update, scale=strength * update.scale) for update in self.updates)
        )

    def digest(self) -> str:
        """SHA-256 (hex) of all updates.

        It is the same when the adapter is stored under another trainer's names.
        """
        rows = [
            [u.component, u.tensor, u.down.digest(), u.up.digest(), float(u.scale)]
            for u in self.updates
        ]
        return hashlib.sha256(
            json.dumps(sorted(rows, key=lambda row: row[:2])).encode()
        ).hexdigest()


def merge(
    tensors: "MutableMapping[str, torch.Tensor]", component: str, loras: Iterable[Lora]
) -> None:
    """Add a component's updates, in float32, to its tensors by name; each keeps its dtype.

    `InputError` when an update is not finite.
    """
    import torch

    sums: dict[str, torch.Tensor] = {}
    for update in (
        update for lora in loras for update in lora.updates if update.component == component
    ):
        if update.tensor not in sums:
            sums[update.tensor] = tensors[update.tensor].to(torch.float32, copy=True)
        up, down = update.up.tensor().float(), update.down.tensor().float()
        added = update.scale * (up.flatten(1) @ down.flatten(1))
        if not torch.isfinite(added).all():
            raise InputError(
                f"{update.up.file.path} adds values that are not finite to the {component}'s"
                f" {update.tensor}."
            )
        sums[update.tensor] += added.reshape(sums[update.tensor].shape)
    for name, total in sums.items():
        tensors[name] = total.to(tensors[name].dtype)
