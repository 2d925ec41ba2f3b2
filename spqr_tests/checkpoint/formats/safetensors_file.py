"""Reads a safetensors file strictly: a bounded header, and bytes that belong to one tensor each.

The header is bounded and checked before any library sees it. The library would accept a file with a
million empty tensors, which costs gigabytes.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spqr_tests import files, quotes
from spqr_tests.checkpoint.formats import other_files
from spqr_tests.checkpoint.formats.tensor import BLOCK, StoredTensor
from spqr_tests.errors import InputError

if TYPE_CHECKING:
    import torch

ITEMSIZE = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "U16": 2,
    "I16": 2,
    "F16": 2,
    "BF16": 2,
    "U32": 4,
    "I32": 4,
    "F32": 4,
    "U64": 8,
    "I64": 8,
    "F64": 8,
    "C64": 8,
}
"""Bytes per element of the supported dtypes, by safetensors' name."""
# The headers of published checkpoints are below 1 MiB (FLUX: 0.2 MiB).
_MAX_HEADER = 16 * 2**20
# Of a tensor; convolutions of video have five.
_MAX_DIMENSIONS = 16


@dataclass(frozen=True)
class _Entry:
    tensor: StoredTensor
    begin: int
    end: int


class SafetensorsFile:
    """The tensors of a safetensors file.

    `InputError` for a header that is too large or not a table of tensors, for tensors whose bytes
    are missing, shared, or not as many as their shape says, and for bytes that belong to no tensor.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries, self.metadata = _header(path)
        self._tensors = {name: entry.tensor for name, entry in self._entries.items()}

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def tensors(self) -> Mapping[str, StoredTensor]:
        """The tensors that the header names, sorted by name."""
        return self._tensors

    def blocks(self, name: str, begin: int, end: int) -> Iterator[bytes]:
        """The bytes `begin` to `end` of a tensor, in blocks of at most 4 MiB."""
        entry = self._entries[name]
        if not 0 <= begin <= end <= entry.end - entry.begin:
            raise ValueError(f"{name} has no bytes {begin} to {end}")
        try:
            with self._path.open("rb", buffering=0) as file:
                file.seek(entry.begin + begin)
                left = end - begin
                while left:
                    block = file.read(min(left, BLOCK))
                    if not block:
                        raise InputError(
                            f"{self._path} was cut short while it was read: {name} lacks {left}"
                            " bytes."
                        )
                    left -= len(block)
                    yield block
        except OSError as error:
            raise InputError(f"{self._path} cannot be read ({error.strerror}).") from error

    def tensor(self, name: str) -> "torch.Tensor":
        """A tensor on the CPU, in the dtype it is stored in."""
        tensor: torch.Tensor = self._opened.get_tensor(name)
        return tensor

    @cached_property
    def _opened(self) -> Any:
        from safetensors import SafetensorError, safe_open

        try:
            return safe_open(self._path, framework="pt", device="cpu")
        except (OSError, SafetensorError) as error:
            raise InputError(f"{self._path} cannot be read ({error}).") from error


def _header(path: Path) -> tuple[dict[str, _Entry], dict[str, str]]:
    """The entries, sorted by name, and the metadata."""
    begins = files.start(path)
    # As a length, eight letters would be a number that says nothing to anyone.
    if what := other_files.kind(begins):
        raise InputError(
            f"{path} is not a safetensors file: it is {what}; expected weights as safetensors."
        )
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            prefix = file.read(8)
            length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
            if not 0 < length <= min(size - 8, _MAX_HEADER):
                raise InputError(
                    f"{path} is not a safetensors file that can be read: its header claims {length}"
                    f" bytes of {size} (at most {_MAX_HEADER} are accepted)."
                )
            text = file.read(length)
        header = json.loads(text, object_pairs_hook=_unique)
        metadata = _texts(header.pop("__metadata__", {}))
        start = 8 + length
        entries = {name: _entry(name, table, start) for name, table in sorted(header.items())}
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} is not a safetensors file: its header cannot be parsed."
        ) from error
    _check(path, entries, start, size)
    return entries, metadata


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name appears twice")
    return table


def _texts(table: dict[str, Any]) -> dict[str, str]:
    if not all(isinstance(value, str) for value in table.values()):
        raise ValueError("metadata that is not text")
    return table


def _entry(name: str, table: dict[str, Any], start: int) -> _Entry:
    begin, end = table["data_offsets"]
    if not (
        isinstance(table["dtype"], str)
        and all(type(number) is int for number in (*table["shape"], begin, end))
    ):
        raise ValueError(f"{name} is described by values of other types")
    return _Entry(
        StoredTensor(name, table["dtype"], tuple(table["shape"])), start + begin, start + end
    )


def _check(path: Path, entries: Mapping[str, _Entry], start: int, size: int) -> None:
    for name, entry in entries.items():
        tensor = entry.tensor
        if tensor.dtype not in ITEMSIZE:
            raise InputError(
                f"{path}: the tensor {quotes.cut(name, 200)} has the dtype"
                f" {quotes.cut(tensor.dtype)},"
                " which is not among"
                f" {', '.join(ITEMSIZE)}."
            )
        if entry.end > size:
            raise InputError(f"{path} is cut short: its header names bytes beyond its {size}.")
        if not start <= entry.begin <= entry.end:
            raise InputError(
                f"{path} is damaged: its header puts {name} at bytes {entry.begin} to {entry.end}."
            )
        # No real length is above 2^48, and torch's own arithmetic overflows at 2^63.
        fits = len(tensor.shape) <= _MAX_DIMENSIONS and all(
            0 <= length < 2**48 for length in tensor.shape
        )
        if not fits or prod(tensor.shape) * ITEMSIZE[tensor.dtype] != entry.end - entry.begin:
            raise InputError(
                f"{path} is damaged: {quotes.cut(name, 200)} is {tensor.dtype} of the shape"
                f" {quotes.shown(list(tensor.shape))}, but has {entry.end - entry.begin} bytes."
            )
    reached = start
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != reached:
            raise InputError(
                f"{path} is damaged: the bytes of {name} begin at {entry.begin}, but those before"
                f" them end at {reached}; each byte must belong to one tensor."
            )
        reached = entry.end
    if reached != size:
        raise InputError(
            f"{path} is damaged: {size - reached} bytes at its end belong to no tensor."
        )
