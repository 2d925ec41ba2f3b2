"""The tensors of a model, and where files hold them."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from spqr_tests.errors import InputError

if TYPE_CHECKING:
    import torch

BLOCK = 2**22
"""The most bytes of a tensor that are read at once."""


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as a file holds it: its name, dtype and shape there.

    The dtype has safetensors' name ('F16', 'BF16', ...).
    """

    name: str
    dtype: str
    shape: tuple[int, ...]


class TensorFile(Protocol):
    """A file, or a set of shards, that holds tensors by name."""

    @property
    def path(self) -> Path:
        """The path that messages name."""

    @property
    def tensors(self) -> Mapping[str, StoredTensor]:
        """The tensors that it holds, by name."""

    def blocks(self, name: str, begin: int, end: int) -> Iterator[bytes]:
        """The bytes `begin` to `end` of a tensor in row-major order, in blocks of bounded size."""

    def tensor(self, name: str) -> "torch.Tensor":
        """A tensor on the CPU, in the dtype it is stored in."""


@dataclass(frozen=True)
class ModelTensor:
    """A tensor of a model: rows of a stored tensor, in the shape that the model needs.

    `rows` are ranges of the stored tensor's first axis, to be joined in this order (None: all
    rows). Checkpoints in their authors' own layouts keep query, key and value in one tensor, or
    swap halves. A `transposed` tensor is a matrix of which the file holds the transpose.
    """

    file: TensorFile
    stored: StoredTensor
    shape: tuple[int, ...]
    rows: tuple[tuple[int, int], ...] | None = None
    transposed: bool = False

    def digest(self) -> str:
        """SHA-256 (hex) of dtype, shape and bytes as the model sees them; equal in all formats.

        It never changes: `tensor` refuses what has another one.
        """
        return self._digest

    # Cached, because a checkpoint with an adapter shares most tensors with its base.
    @cached_property
    def _digest(self) -> str:
        state = hashlib.sha256(f"{self.stored.dtype}{list(self.shape)}".encode())
        for block in self._blocks():
            state.update(block)
        return state.hexdigest()

    def tensor(self) -> "torch.Tensor":
        """The tensor on the CPU, in its stored dtype and the model's shape, in memory of its own.

        `InputError` when it is not the one whose digest was taken: what is measured must be what
        was named, and a file may be replaced in between.
        """
        import torch

        found = self._loaded()
        state = hashlib.sha256(f"{self.stored.dtype}{list(self.shape)}".encode())
        state.update(found.reshape(-1).view(torch.uint8).numpy().data)
        if self.__dict__.setdefault("_digest", state.hexdigest()) != state.hexdigest():
            raise InputError(
                f"{self.file.path} was replaced after the run began: its tensor"
                f" {self.stored.name} is not the one that it is known by. Run again."
            )
        return found

    def _loaded(self) -> "torch.Tensor":
        import torch

        stored = self.file.tensor(self.stored.name)
        if self.transposed:
            return stored.T.clone(memory_format=torch.contiguous_format)
        if self.rows is not None:
            return torch.cat([stored[begin:end] for begin, end in self.rows]).reshape(self.shape)
        # Copied out of the mapped file: a tensor's alignment in it would change the last bits of an
        # image, and what is in it may be replaced.
        return stored.clone(memory_format=torch.contiguous_format).reshape(self.shape)

    def _blocks(self) -> Iterator[bytes]:
        size = itemsize(self.stored.dtype)
        whole = prod(self.stored.shape) * size
        name = self.stored.name
        if self.transposed:
            stored = np.frombuffer(
                b"".join(self.file.blocks(name, 0, whole)), dtype=f"V{size}"
            ).reshape(self.stored.shape)
            yield np.ascontiguousarray(stored.T).tobytes()
            return
        row = prod(self.stored.shape[1:]) * size
        ranges = (
            [(0, whole)]
            if self.rows is None
            else [(begin * row, end * row) for begin, end in self.rows]
        )
        for begin, end in ranges:
            yield from self.file.blocks(name, begin, end)


def blocks_of(tensor: "torch.Tensor", name: str, begin: int, end: int) -> Iterator[bytes]:
    """The bytes `begin` to `end` of a tensor on the CPU in row-major order, in blocks of 4 MiB."""
    import torch

    flat = tensor.reshape(-1).view(torch.uint8).numpy()
    if not 0 <= begin <= end <= flat.size:
        raise ValueError(f"{name} has no bytes {begin} to {end}")
    for start in range(begin, end, BLOCK):
        yield flat[start : min(start + BLOCK, end)].tobytes()


def itemsize(dtype: str) -> int:
    """Bytes per element; `ValueError` unless the dtype is one of safetensors' whole-byte ones."""
    bits = (
        8
        if dtype == "BOOL"
        else int("".join(c for c in dtype.partition("_")[0] if c.isdigit()) or 0)
    )
    if bits % 8 or not bits:
        raise ValueError(f"the dtype {dtype} is unknown")
    return bits // 8
