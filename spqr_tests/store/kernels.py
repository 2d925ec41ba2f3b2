"""Kernels: which of torch's routines compute float32 on a CPU.

torch multiplies matrices by MKL, which on AMD's processors does not use AVX-512, and convolves by
oneDNN, which does: a linear layer is a convolution of one pixel. All that is computed with
`Kernels` in force, and all gradients of it, are the same to the last bit whenever computed on one
kind of processor.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_IMAGES = 16
"""From so many images on, torch convolves by oneDNN also in one thread."""
_ROWS = 64
_WIDTH = 32
"""Below so many rows, or numbers in or out (a LoRA's), a convolution takes longer to set up."""
_LEVELS = 2**16


class Kernels(TorchFunctionMode):
    """While it is entered, float32 linear layers on CPUs are computed by oneDNN.

    Dropout there draws 16 bits a number where torch draws 64: in a LoRA's training that is felt.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Answer one call of a torch function."""
        del types
        if func is functional.linear:
            return _linear(*args, **(kwargs or {}))
        if func is functional.dropout:
            return _dropout(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _is_ours(*tensors: "torch.Tensor | None") -> bool:
    # Packed weights, made of other tensors, say that they are float32 and are not.
    return all(
        one is None
        or (
            one.dtype is torch.float32
            and one.device.type == "cpu"
            and not hasattr(one, "__tensor_flatten__")
        )
        for one in tensors
    )


def _linear(
    input: torch.Tensor,  # noqa: A002  torch's name
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
) -> torch.Tensor:
    ours = _is_ours(input, weight, bias) and not (_is_narrow() and _is_trained(input, weight, bias))
    images = _as_images(input, weight) if ours else None
    if images is None:
        return functional.linear(input, weight, bias)
    found = functional.conv2d(images.permute(0, 3, 1, 2), weight[:, :, None, None], bias)
    return found.permute(0, 2, 3, 1).reshape(*input.shape[:-1], len(weight))


@cache
def _is_narrow() -> bool:
    """Whether MKL uses all of the processor, so that it computes gradients faster than oneDNN."""
    return torch.backends.cpu.get_cpu_capability() == "AVX2"


def _is_trained(*tensors: "torch.Tensor | None") -> bool:
    return torch.is_grad_enabled() and any(one is not None and one.requires_grad for one in tensors)


def _as_images(rows: torch.Tensor, weight: torch.Tensor) -> torch.Tensor | None:
    """Rows (..., in) as images (n, height, 1, in); None where a product is as fast."""
    if weight.ndim != 2 or min(weight.shape) < _WIDTH:
        return None
    count = rows.numel() // rows.shape[-1]
    if count < _ROWS:
        return None
    # Few and long ones are fastest.
    if count % _IMAGES == 0:
        return rows.reshape(_IMAGES, count // _IMAGES, 1, rows.shape[-1])
    return rows.unsqueeze(2) if rows.ndim == 3 and len(rows) >= _IMAGES else None


def _dropout(
    input: torch.Tensor,  # noqa: A002  torch's name
    p: float = 0.5,
    training: bool = True,  # noqa: FBT001, FBT002  torch's signature
    inplace: bool = False,  # noqa: FBT001, FBT002  torch's signature
) -> torch.Tensor:
    """As torch's, with `p` rounded to a multiple of 1/65,536."""
    left_out = round(p * _LEVELS)
    if not training or inplace or not 0 < left_out < _LEVELS or not _is_ours(input):
        return functional.dropout(input, p, training, inplace)
    count = input.numel()
    # The only integers that torch fills with one number a word are those of 64 bits.
    words = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    drawn = words.view(torch.int16)[:count].view(input.shape)
    kept = (drawn >= left_out - _LEVELS // 2).to(input.dtype)
    return input * kept.div_(1 - left_out / _LEVELS)
