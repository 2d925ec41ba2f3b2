"""What a module of an adapter changes, for the kinds that are more than a product of two matrices.

A module may hold several of a component's tensors, as the authors of FLUX join query, key and
value; what is added is computed of the whole and divided.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from spqr_tests.checkpoint.formats.layouts.table import Place
from spqr_tests.checkpoint.formats.tensor import ModelTensor
from spqr_tests.checkpoint.lora.kinds import Kind
from spqr_tests.errors import InputError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Change:
    """W += what a module of some kind adds, for the tensors of a component that make up W."""

    component: str
    places: tuple[Place, ...]
    """The tensors, and the rows of the module that are theirs."""
    kind: Kind
    held: Mapping[str, ModelTensor]
    """The module's tensors by role."""
    scale: float
    """alpha / rank, and the strength."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What the file or its config says besides."""
    bias: str = ""
    """The bias that is scaled as the outputs are ((IA)3 of peft), if there is one."""

    @property
    def names(self) -> tuple[str, ...]:
        """The tensors that change."""
        return (*(place.name for place in self.places), *([self.bias] if self.bias else []))

    @property
    def rotates(self) -> bool:
        """Whether what is added depends on what else is added to the weight."""
        return self.kind.rotates

    def row(self) -> list[Any]:
        """What the change consists of, for a digest."""
        held = {role: tensor.digest() for role, tensor in sorted(self.held.items())}
        places = [[place.name, place.rows] for place in self.places]
        return [
            self.component,
            self.places[0].name,
            type(self.kind).__name__,
            places,
            held,
            float(self.scale),
            dict(sorted(self.settings.items())),
        ]

    def scaled(self, strength: float) -> "Change":
        """The same change, `strength` times as strong.

        `InputError` for a kind that has one strength only.
        """
        if strength != 1 and not self.kind.strengths:
            path = next(iter(self.held.values())).file.path
            raise InputError(
                f"{path} is {self.kind.name} of peft, which has no strength but 1; leave"
                f" @{strength:g} out."
            )
        return replace(self, scale=strength * self.scale)

    def added(self, weights: "Mapping[str, torch.Tensor]") -> "Iterator[tuple[str, torch.Tensor]]":
        """What is added to each tensor, given the component's weights in float32."""
        tensors = {role: tensor.tensor().float() for role, tensor in self.held.items()}
        whole = self._joined(weights)
        magnitude = tensors.pop("magnitude", None)
        added = self.kind.added(tensors, whole, self.scale, self.settings)
        if magnitude is not None:
            added = _decomposed(whole, added, magnitude, inputs=self.settings["dora"] == "inputs")
        for place in self.places:
            weight = weights[place.name]
            rows = place.rows or ((0, len(added)),)
            yield place.name, _rows(added, rows).reshape(weight.shape)
        if self.bias:
            bias = weights[self.bias]
            yield self.bias, bias * (tensors["ia3_l"].reshape(bias.shape) - 1)

    def _joined(self, weights: "Mapping[str, torch.Tensor]") -> "torch.Tensor":
        """The weight of the module, of the rows of its tensors."""
        import torch

        if self.places[0].rows is None:
            return weights[self.places[0].name]
        count = sum(end - begin for place in self.places for begin, end in place.rows or ())
        whole = torch.empty(count, *weights[self.places[0].name].shape[1:])
        for place in self.places:
            at = 0
            for begin, end in place.rows or ():
                whole[begin:end] = weights[place.name][at : at + end - begin]
                at += end - begin
        return whole


def _rows(whole: "torch.Tensor", rows: tuple[tuple[int, int], ...]) -> "torch.Tensor":
    import torch

    return torch.cat([whole[begin:end] for begin, end in rows])


def _decomposed(
    weight: "torch.Tensor", added: "torch.Tensor", magnitude: "torch.Tensor", *, inputs: bool
) -> "torch.Tensor":
    """What DoRA adds in all: W + added, each row drawn to the length that was trained.

    arXiv 2402.09353, equation 5. peft and LyCORIS take the length of each output's row; OneTrainer,
    and LyCORIS once, of each input's column (`inputs`).
    """
    import torch

    whole = weight + added
    axis = 1 if inputs else 0
    others = tuple(one for one in range(whole.ndim) if one != axis)
    length: torch.Tensor = torch.linalg.vector_norm(whole, dim=others, keepdim=True)
    # A row of zeros has no direction; what LyCORIS and OneTrainer add keeps it from dividing by 0.
    length = length.clamp(min=torch.finfo(torch.float32).eps)
    return magnitude.reshape(length.shape) * whole / length - weight


def shape_of(places: tuple[Place, ...], first: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a module's weight, from that of its first tensor."""
    rows = [rows for place in places for rows in place.rows or ()]
    count = sum(end - begin for begin, end in rows) if rows else first[0]
    return (count, *first[1:])
