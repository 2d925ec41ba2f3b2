"""Whether two pieces are one tensor, in one precision or in two."""

from math import prod

import numpy as np
from numpy.typing import NDArray

from spqr_tests.checkpoint.formats.tensor import ModelTensor

_KINDS = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def same(one: ModelTensor, other: ModelTensor) -> bool:
    """Whether they hold the same bytes, or one holds the other's numbers rounded to half precision."""
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


def _values(piece: ModelTensor) -> NDArray[np.generic]:
    """The piece in row-major order; bfloat16, which numpy has not, as its bits."""
    kind = np.dtype(_KINDS[piece.stored.dtype])
    whole = b"".join(
        piece.file.blocks(piece.stored.name, 0, prod(piece.stored.shape) * kind.itemsize)
    )
    stored = np.frombuffer(whole, dtype=kind).reshape(piece.stored.shape)
    if piece.transposed:
        stored = stored.T
    if piece.rows is not None:
        stored = np.concatenate([stored[begin:end] for begin, end in piece.rows])
    return np.ascontiguousarray(stored).reshape(-1)


def _rounded(values: NDArray[np.generic], dtype: str) -> NDArray[np.generic]:
    """The bits of float32 numbers in half precision, rounded to the nearest and to even."""
    if dtype == "F16":
        with np.errstate(over="ignore"):
            rounded = values.astype("<f2").view("<u2")
    else:
        bits = values.view("<u4").astype("<u8")
        rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")
    return np.asarray(rounded)
