"""Compares two tensors of a model, in the same precision or in two."""

from math import prod

import numpy as np
from numpy.typing import NDArray

from spqr_tests.checkpoint.formats.tensor import ModelTensor

_KINDS = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def same(one: ModelTensor, other: ModelTensor) -> bool:
    """Whether the bytes are the same, or one's are the other's numbers in half precision."""
    if one.shape != other.shape:
        return False
    if one.stored.dtype == other.stored.dtype:
        return one.digest() == other.digest()
    if one.stored.dtype == "F32":
        one, other = other, one
    if other.stored.dtype != "F32" or one.stored.dtype not in _KINDS:
        return False
    return bool(
        np.array_equal(_values(one).view("<u2"), _rounded(_values(other), one.stored.dtype))
    )


def _values(tensor: ModelTensor) -> NDArray[np.generic]:
    """The tensor's numbers in row-major order; bfloat16 as its bits, because numpy lacks it."""
    kind, shape = np.dtype(_KINDS[tensor.stored.dtype]), tensor.stored.shape
    whole = b"".join(tensor.file.blocks(tensor.stored.name, 0, prod(shape) * kind.itemsize))
    stored = np.frombuffer(whole, dtype=kind).reshape(shape)
    if tensor.transposed:
        stored = stored.T
    if tensor.rows is not None:
        stored = np.concatenate([stored[begin:end] for begin, end in tensor.rows])
    return np.ascontiguousarray(stored).reshape(-1)


def _rounded(values: NDArray[np.generic], dtype: str) -> NDArray[np.generic]:
    """The bits of float32 numbers in half precision, rounded to nearest, ties to even."""
    if dtype == "F16":
        with np.errstate(over="ignore"):
            rounded = values.astype("<f2").view("<u2")
    else:
        bits = values.view("<u4").astype("<u8")
        rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")
    return np.asarray(rounded)
