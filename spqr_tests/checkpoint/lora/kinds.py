"""The kinds of adapters: which tensors make up a module, and what they add to its weight."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from math import prod
from typing import TYPE_CHECKING, Any

from spqr_tests.checkpoint.formats.tensor import StoredTensor

if TYPE_CHECKING:
    import torch

Held = Mapping[str, StoredTensor]
"""The stored tensors of a module, by their roles: 'down', 'hada_w1_a', ..."""
Constant = Callable[[str], float | None]
"""The number that all elements of a role's tensor are; None when they differ."""


class Kind(ABC):
    """A way to change a weight W of the shape (out, in, ...) by a few small tensors."""

    name: str
    """With its article, for messages: 'a LoHa adapter'."""
    update: str
    """What a tensor gets, for reports: 'a LoHa update'."""
    needed: tuple[tuple[str, ...], ...]
    """Sets of roles, one of which a module must hold whole."""
    optional: tuple[str, ...] = ()
    rotates: bool = False
    """Whether what is added depends on all of W, so that the order of several matters."""
    constrained: bool = False
    """Whether the file's alpha is not a scale but a bound (OFT)."""
    strengths: bool = True
    """Whether its authors define it at another strength than 1."""

    @abstractmethod
    def shape(self, held: Held) -> tuple[int, ...]:
        """The shape of W that the tensors state; 0 for an axis that they leave open."""

    def rank(self, held: Held) -> int | None:
        """What alpha is divided by; None when there is no rank, so that alpha says nothing."""
        del held
        return None

    def problem(self, held: Held) -> str:
        """Why the tensors do not belong together, as the end of a sentence; '' when they do."""
        del held
        return ""

    def fits(self, held: Held, weight: tuple[int, ...]) -> bool:
        """Whether the tensors can change a weight of this shape."""
        own = self.shape(held)
        return core(own) == core(weight) or (
            len(own) == 2 and own == (weight[0], prod(weight[1:]))  # a convolution as a matrix
        )

    @abstractmethod
    def idle(self, held: Held, constant: Constant) -> bool:
        """Whether the tensors certainly change nothing."""

    @abstractmethod
    def added(
        self,
        tensors: "Mapping[str, torch.Tensor]",
        weight: "torch.Tensor",
        scale: float,
        settings: Mapping[str, Any],
    ) -> "torch.Tensor":
        """What is added to a weight in float32, in its shape; `tensors` are by role."""


def core(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without the trailing 1s of a 1 x 1 convolution."""
    while len(shape) > 2 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _product(left: StoredTensor, right: StoredTensor, *, kernel: bool = False) -> str:
    """Why two matrices cannot be multiplied; '' when they can.

    With `kernel` they may have the further axes of a convolution.
    """
    one, two = left.shape, right.shape
    if kernel:
        one, two = core(one), core(two)
    if len(one) == 2 and one[1] == two[0] and two[0] and (kernel or len(two) == 2):
        return ""
    return f"multiplies {list(left.shape)} by {list(right.shape)}, which have no rank in common"


class _LoRA(Kind):
    """W + up @ down (arXiv 2106.09685); with `mid`, a Tucker core of a convolution between them."""

    name, update = "a LoRA", "a low-rank update"
    needed = (("down", "up"),)
    optional = ("mid", "magnitude")

    def shape(self, held: Held) -> tuple[int, ...]:
        kernel = held["mid"] if "mid" in held else held["down"]
        return (held["up"].shape[0], held["down"].shape[1], *kernel.shape[2:])

    def rank(self, held: Held) -> int:
        return held["down"].shape[0]

    def problem(self, held: Held) -> str:
        rank = self.rank(held)
        mid = held["mid"].shape if "mid" in held else (rank, rank)
        if mid[:2] != (rank, rank):
            return f"has a core of the shape {list(mid)}, and the rank {rank}"
        return _product(held["up"], held["down"], kernel=True)

    def fits(self, held: Held, weight: tuple[int, ...]) -> bool:
        # A convolution as a matrix is not how any trainer stores a LoRA.
        return core(self.shape(held)) == core(weight)

    def idle(self, held: Held, constant: Constant) -> bool:
        return any(constant(role) == 0 for role in ("down", "up", "mid") if role in held)

    def added(
        self,
        tensors: "Mapping[str, torch.Tensor]",
        weight: "torch.Tensor",
        scale: float,
        settings: Mapping[str, Any],
    ) -> "torch.Tensor":
        import torch

        del settings
        up, down = tensors["up"].flatten(1), tensors["down"].flatten(1)
        if "mid" in tensors:
            whole = torch.einsum("m n ..., i m, n j -> i j ...", tensors["mid"], up, down)
        else:
            whole = up @ down
        return scale * whole.reshape(weight.shape)


def _tucker(core_: "torch.Tensor", out: "torch.Tensor", into: "torch.Tensor") -> "torch.Tensor":
    """A convolution's weight from its core (r, r, k, k), out (r, out) and into (r, in)."""
    import torch

    return torch.einsum("i j ..., i p, j r -> p r ...", core_, out, into)


class _LoHa(Kind):
    """W + (w1_a @ w1_b) * (w2_a @ w2_b), elementwise (arXiv 2108.06098)."""

    name, update = "a LoHa adapter", "a LoHa update"
    needed = (("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"),)
    optional = ("hada_t1", "hada_t2", "magnitude")

    def shape(self, held: Held) -> tuple[int, ...]:
        if "hada_t1" in held:
            return (
                held["hada_w1_a"].shape[1],
                held["hada_w1_b"].shape[1],
                *held["hada_t1"].shape[2:],
            )
        return (held["hada_w1_a"].shape[0], held["hada_w1_b"].shape[1])

    def rank(self, held: Held) -> int:
        return held["hada_w1_b"].shape[0]

    def problem(self, held: Held) -> str:
        if ("hada_t1" in held) != ("hada_t2" in held):
            return "has one Tucker core, and needs two"
        if "hada_t1" in held:
            return _cores(
                held, ("hada_t1", "hada_w1_a", "hada_w1_b"), ("hada_t2", "hada_w2_a", "hada_w2_b")
            )
        for one, two in (("hada_w1_a", "hada_w1_b"), ("hada_w2_a", "hada_w2_b")):
            if found := _product(held[one], held[two]):
                return found
        first, second = (
            (held[f"{w}_a"].shape[0], held[f"{w}_b"].shape[1]) for w in ("hada_w1", "hada_w2")
        )
        return "" if first == second else f"multiplies {list(first)} and {list(second)} elementwise"

    def idle(self, held: Held, constant: Constant) -> bool:
        return any(constant(role) == 0 for role in held if role not in {"magnitude", "alpha"})

    def added(
        self,
        tensors: "Mapping[str, torch.Tensor]",
        weight: "torch.Tensor",
        scale: float,
        settings: Mapping[str, Any],
    ) -> "torch.Tensor":
        del settings
        if "hada_t1" in tensors:
            first, second = (
                _tucker(tensors[f"hada_t{n}"], tensors[f"hada_w{n}_a"], tensors[f"hada_w{n}_b"])
                for n in (1, 2)
            )
        else:
            first, second = (tensors[f"hada_w{n}_a"] @ tensors[f"hada_w{n}_b"] for n in (1, 2))
        return (scale * first * second).reshape(weight.shape)


def _cores(held: Held, *triples: tuple[str, str, str]) -> str:
    """Why Tucker cores do not fit the matrices on their sides; '' when they do."""
    for core_, out, into in triples:
        ranks = (held[out].shape[0], held[into].shape[0])
        if len(held[core_].shape) < 3 or held[core_].shape[:2] != ranks or 0 in ranks:
            return f"has a core of the shape {list(held[core_].shape)} between the ranks {ranks}"
    return ""


class _LoKr(Kind):
    """W + kron(w1, w2), each whole or a product of two (arXiv 2309.14859)."""

    name, update = "a LoKr adapter", "a LoKr update"
    needed = (
        ("lokr_w1", "lokr_w2"),
        ("lokr_w1_a", "lokr_w1_b", "lokr_w2"),
        ("lokr_w1", "lokr_w2_a", "lokr_w2_b"),
        ("lokr_w1_a", "lokr_w1_b", "lokr_w2_a", "lokr_w2_b"),
    )
    optional = ("lokr_t2", "magnitude")

    def shape(self, held: Held) -> tuple[int, ...]:
        first, second = self._factor(held, "lokr_w1"), self._factor(held, "lokr_w2")
        return (first[0] * second[0], first[1] * second[1], *second[2:])

    @staticmethod
    def _factor(held: Held, factor: str) -> tuple[int, ...]:
        if factor in held:
            return held[factor].shape
        out, into = held[f"{factor}_a"].shape, held[f"{factor}_b"].shape
        if factor == "lokr_w2" and "lokr_t2" in held:
            return (out[1], into[1], *held["lokr_t2"].shape[2:])
        return (out[0], into[1])

    def rank(self, held: Held) -> int | None:
        # Of two whole factors no trainer divides by a rank: their alpha is left aside.
        found = held.get("lokr_w2_b") or held.get("lokr_w1_b")
        return found.shape[0] if found is not None else None

    def problem(self, held: Held) -> str:
        if "lokr_t2" in held and "lokr_w2_a" not in held:
            return "has a Tucker core between no matrices"
        for factor in ("lokr_w1", "lokr_w2"):
            if factor == "lokr_w2" and "lokr_t2" in held:
                found = _cores(held, ("lokr_t2", "lokr_w2_a", "lokr_w2_b"))
            elif factor in held:
                found = ""
            else:
                found = _product(held[f"{factor}_a"], held[f"{factor}_b"])
            if found:
                return found
        first = self._factor(held, "lokr_w1")
        return "" if len(first) == 2 else f"has a first factor of the shape {list(first)}"

    def idle(self, held: Held, constant: Constant) -> bool:
        return any(constant(role) == 0 for role in held if role not in {"magnitude", "alpha"})

    def added(
        self,
        tensors: "Mapping[str, torch.Tensor]",
        weight: "torch.Tensor",
        scale: float,
        settings: Mapping[str, Any],
    ) -> "torch.Tensor":
        import torch

        del settings
        first = (
            tensors["lokr_w1"]
            if "lokr_w1" in tensors
            else tensors["lokr_w1_a"] @ tensors["lokr_w1_b"]
        )
        if "lokr_w2" in tensors:
            second = tensors["lokr_w2"]
        elif "lokr_t2" in tensors:
            second = _tucker(tensors["lokr_t2"], tensors["lokr_w2_a"], tensors["lokr_w2_b"])
        else:
            second = tensors["lokr_w2_a"] @ tensors["lokr_w2_b"]
        first = first.reshape(*first.shape, *[1] * (second.ndim - 2))
        return scale * torch.kron(first, second.contiguous()).reshape(weight.shape)


LORA, LOHA, LOKR = _LoRA(), _LoHa(), _LoKr()
