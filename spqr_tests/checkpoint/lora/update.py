"""The changes of an adapter file: of named weights, whichever trainer named them."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from spqr_tests.checkpoint.formats.tensor import ModelTensor
from spqr_tests.checkpoint.lora.change import Change
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

    @property
    def names(self) -> tuple[str, ...]:
        """The tensors that change: one."""
        return (self.tensor,)

    @property
    def rotates(self) -> bool:
        """Whether what is added depends on what else is added to the weight: it does not."""
        return False

    def row(self) -> list[Any]:
        """What the update consists of, for a digest."""
        digests = [self.down.digest(), self.up.digest()]
        return [self.component, self.tensor, *digests, float(self.scale)]

    def scaled(self, strength: float) -> "Update":
        """The same update, `strength` times as strong."""
        return replace(self, scale=strength * self.scale)

    def added(self, weights: "Mapping[str, torch.Tensor]") -> "Iterator[tuple[str, torch.Tensor]]":
        """What is added to the weight, given the component's weights in float32."""
        up, down = self.up.tensor().float(), self.down.tensor().float()
        added = self.scale * (up.flatten(1) @ down.flatten(1))
        yield self.tensor, added.reshape(weights[self.tensor].shape)


@dataclass(frozen=True)
class Lora:
    """The changes that one adapter file makes, low-rank updates or of another kind."""

    updates: tuple[Update | Change, ...]

    def scaled(self, strength: float) -> "Lora":
        """The same changes, `strength` times as strong; 1 changes nothing.

        `InputError` for a kind of adapter that has one strength only.
        """
        return Lora(tuple(update.scaled(strength) for update in self.updates))

    def digest(self) -> str:
        """SHA-256 (hex) of all changes.

        It is the same when the adapter is stored under another trainer's names.
        """
        rows = [update.row() for update in self.updates]
        return hashlib.sha256(
            json.dumps(sorted(rows, key=lambda row: row[:2])).encode()
        ).hexdigest()


def merge(
    tensors: "MutableMapping[str, torch.Tensor]", component: str, loras: Iterable[Lora]
) -> None:
    """Add the changes of a component, in float32, to its tensors by name.

    Each keeps its dtype, unless that has 8 bits. What each adds is computed of the weights without
    the others, as peft does for several active adapters. `InputError` when something is not finite.
    """
    import torch

    updates = [update for lora in loras for update in lora.updates if update.component == component]
    sums: dict[str, torch.Tensor] = {}
    for update in updates:
        base = {name: tensors[name].float() for name in update.names}
        for name, added in update.added(base):
            if not torch.isfinite(added).all():
                raise InputError(
                    f"{_path(update)} adds values that are not finite to the {component}'s {name}."
                )
            if name not in sums:
                sums[name] = tensors[name].to(torch.float32, copy=True)
            sums[name] += added
    for name, total in sums.items():
        # Adapters run beside float8 weights, in whose few bits most of what they add would be lost.
        tensors[name] = total if tensors[name].itemsize == 1 else total.to(tensors[name].dtype)


def _path(update: Update | Change) -> Any:
    tensor = update.up if isinstance(update, Update) else next(iter(update.held.values()))
    return tensor.file.path
