"""Adapters that are scaled anew for each prompt, beside the weights of a denoiser.

They are not merged: each row of a micro-batch has a strength of its own. What a layer gives for a
row then depends on that row alone.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spqr_tests.checkpoint.lora.update import Lora, Update
from spqr_tests.errors import InputError

if TYPE_CHECKING:
    import torch

    from spqr_tests.checkpoint.formats.tensor import ModelTensor

_ATTRIBUTE = "spqr_prompt_scaled"


@dataclass(frozen=True)
class PromptScaled:
    """An SPM (arXiv 2312.16145): low-rank updates, and the prompts that it erases."""

    path: Path
    prompts: tuple[str, ...]
    """The erased prompts, whose similarity to a prompt is its strength there."""
    rank: int
    scale: float
    """alpha / rank."""
    updates: tuple[Update, ...]

    @property
    def tensors(self) -> frozenset[str]:
        """The names of the weights that it stands beside."""
        return frozenset(update.tensor for update in self.updates)

    def content(self) -> list[Any]:
        """A JSON value for the fingerprint."""
        return [list(self.prompts), self.rank, self.scale, Lora(self.updates).digest()]


class Attached:
    """The adapters beside one denoiser, and their strengths now.

    A copy of the denoiser has a copy of this.
    """

    def __init__(self, prompts: tuple[tuple[str, ...], ...]) -> None:
        self.prompts = prompts
        """The erased prompts of each adapter."""
        self.strengths: torch.Tensor | None = None
        """(rows, adapters) while images are sampled; None where the adapters are left out."""
        self.parameters = 0
        """Elements of all adapters."""


class _Beside:
    """A forward hook of a layer: it adds what the adapters add to the layer's output.

    As `infer_spm.py` does it, the matrices of the adapters are weighted and added up before they
    are multiplied: (sum m_i up_i) (sum m_i down_i) x. Alone, an adapter has its strength squared.
    """

    def __init__(
        self, attached: Attached, down: "torch.Tensor", up: "torch.Tensor", scale: float
    ) -> None:
        self.attached = attached
        self.down, self.up, self.scale = down, up, scale

    def __call__(self, layer: Any, given: Any, output: "torch.Tensor") -> "torch.Tensor | None":
        from torch.nn import functional

        strengths = self.attached.strengths
        if strengths is None:
            return None
        inputs = given[0]
        down, up = self.down.to(inputs), self.up.to(inputs)
        # Guidance's unconditional half comes first, with the same strengths.
        each = strengths.to(inputs).repeat(len(inputs) // len(strengths), 1)
        added: torch.Tensor
        if inputs.ndim == 4:
            inner = functional.conv2d(
                inputs, down, None, layer.stride, layer.padding, layer.dilation
            )
            summed = self._weighted(inner.movedim(1, -1), each).movedim(-1, 1)
            added = functional.conv2d(summed, up)
        else:
            added = functional.linear(self._weighted(functional.linear(inputs, down), each), up)
        return output + added * self.scale

    @staticmethod
    def _weighted(inner: "torch.Tensor", strengths: "torch.Tensor") -> "torch.Tensor":
        """What the ups are applied to (rows, ..., adapters x rank), from what the downs gave."""
        count = strengths.shape[1]
        parts = inner.unflatten(-1, (count, -1))
        each = strengths.reshape(len(strengths), *[1] * (parts.ndim - 3), count, 1)
        summed = (parts * each).sum(dim=-2, keepdim=True)
        weighted: torch.Tensor = (summed * each).flatten(-2)
        return weighted


def attach(
    denoiser: Any,
    adapters: Sequence[PromptScaled],
    tensor: "Callable[[ModelTensor], torch.Tensor]",
) -> None:
    """Put adapters beside a denoiser's layers; without any, nothing changes.

    They have one rank and scale and the same layers, and are no parameters: trainings and state
    dicts do not see them. `tensor` gives a tensor's numbers, on the denoiser's device. `InputError`
    where they are not finite.
    """
    import torch

    if not adapters:
        return
    attached = Attached(tuple(adapter.prompts for adapter in adapters))
    own = [{one.tensor: one for one in adapter.updates} for adapter in adapters]
    for name in own[0]:
        pairs = [(tensor(one[name].down), tensor(one[name].up)) for one in own]
        for adapter, pair in zip(adapters, pairs, strict=True):
            if not all(one.is_meta or one.isfinite().all() for one in pair):
                raise InputError(
                    f"{adapter.path} holds values that are not finite for {name}; the file is"
                    " damaged."
                )
        down, up = (torch.cat(one, dim=axis) for axis, one in enumerate(zip(*pairs, strict=True)))
        attached.parameters += down.numel() + up.numel()
        layer = denoiser.get_submodule(name.removesuffix(".weight"))
        layer.register_forward_hook(_Beside(attached, down, up, adapters[0].scale))
    setattr(denoiser, _ATTRIBUTE, attached)


def of(denoiser: Any) -> Attached | None:
    """The adapters beside a denoiser, or beside what it was copied from; None without any."""
    found = getattr(denoiser, _ATTRIBUTE, None)
    return found if isinstance(found, Attached) else None


@contextmanager
def scaled(denoiser: Any, strengths: "torch.Tensor | None" = None) -> Iterator[None]:
    """While this lasts, the denoiser's adapters add to it at these strengths (rows, adapters).

    Without strengths, at 1 for any number of rows. A denoiser that has none stays as it is.
    """
    import torch

    attached = of(denoiser)
    if attached is None:
        yield
        return
    whole = torch.ones(1, len(attached.prompts)) if strengths is None else strengths
    attached.strengths = whole
    try:
        yield
    finally:
        attached.strengths = None
