"""The header of a GGUF file: where its tensors are and how they are packed.

The format's specification: github.com/ggml-org/ggml, docs/gguf.md. The package's own reader takes
one step for each element of an array, of which a damaged file may claim any number.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

from spqr_tests import quotes
from spqr_tests.errors import InputError

# Of the largest published diffusion model it is below 1 MiB.
_MAX_HEADER = 16 * 2**20
_MAX_DIMENSIONS = 4
_LONGEST_REASON = 200
_VERSIONS = (2, 3)
_ALIGNMENT = ("general.alignment", 32)
# Bytes of a value of each type by its number; strings are 8, arrays 9.
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY, _UINT32 = 8, 9, 4


@dataclass(frozen=True)
class Packed:
    """A tensor in a file: its shape, and its bytes from `begin` to `end`."""

    name: str
    kind: int
    """The number of ggml's type."""
    shape: tuple[int, ...]
    begin: int
    end: int


def read(path: Path, sizes: dict[int, tuple[int, int]]) -> list[Packed]:
    """The tensors of a GGUF file, in the order of their bytes.

    `sizes` are the elements and the bytes of a block of each type. `InputError` for a header that
    is cut, too large or contradicts itself, and for tensors whose bytes are missing or shared.
    """
    try:
        with path.open("rb") as file:
            header = _Header(file.read(_MAX_HEADER))
        whole = path.stat().st_size
        return _tensors(header, whole, sizes)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error
    except (struct.error, ValueError, KeyError, OverflowError) as error:
        reason = quotes.cut(str(error), _LONGEST_REASON)
        raise InputError(
            f"{path} is a GGUF file that cannot be read ({reason}); download it again, or convert"
            " it anew."
        ) from error


class _Header:
    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def take(self, layout: str) -> Any:
        found = struct.unpack_from(f"<{layout}", self._data, self.at)
        self.at += struct.calcsize(f"<{layout}")
        return found[0]

    def text(self) -> str:
        size = self.take("Q")
        self.skip(size)
        return self._data[self.at - size : self.at].decode("utf-8")

    def skip(self, size: int) -> None:
        if size > len(self._data) - self.at:
            raise ValueError("the header is cut off, or larger than 16 MiB")
        self.at += size


def _tensors(header: _Header, whole: int, sizes: dict[int, tuple[int, int]]) -> list[Packed]:
    header.skip(4)
    version = header.take("I")
    if version not in _VERSIONS:
        raise ValueError(f"its version is {version}, and versions 2 and 3 are read")
    count, fields = header.take("Q"), header.take("Q")
    if not count:
        raise ValueError("it holds no tensors")
    alignment = _alignment(header, fields)
    entries = list(_entries(header, count, sizes))
    start = -(-header.at // alignment) * alignment
    placed = sorted(
        (replace(one, begin=one.begin + start, end=one.end + start) for one in entries),
        key=lambda one: one.begin,
    )
    last = start
    for one in placed:
        if one.begin < last or one.end > whole:
            raise ValueError(f"the bytes of {quotes.quoted(one.name)} are missing or shared")
        last = one.end
    if len({one.name for one in placed}) < len(placed):
        raise ValueError("two tensors have one name")
    return placed


def _alignment(header: _Header, fields: int) -> int:
    name, found = _ALIGNMENT
    for _ in range(fields):
        key, kind = header.text(), header.take("I")
        if key == name and kind == _UINT32:
            found = header.take("I")
        else:
            _skip_value(header, kind)
    if found <= 0 or found > 2**20 or found & (found - 1):
        raise ValueError(f"its alignment is {found}")
    return found


def _skip_value(header: _Header, kind: int) -> None:
    if kind == _STRING:
        header.text()
    elif kind == _ARRAY:
        inner, count = header.take("I"), header.take("Q")
        if inner == _STRING:
            for _ in range(count):
                header.text()
        else:
            header.skip(_SIZES[inner] * count)
    else:
        header.skip(_SIZES[kind])


def _entries(header: _Header, count: int, sizes: dict[int, tuple[int, int]]) -> Iterator[Packed]:
    for _ in range(count):
        name, dimensions = header.text(), header.take("I")
        if not name.isprintable():
            raise ValueError(f"{quotes.quoted(name)} is no name of a tensor")
        if dimensions > _MAX_DIMENSIONS:
            raise ValueError(f"{quotes.quoted(name)} has {dimensions} dimensions")
        # The fastest dimension comes first.
        shape = tuple(header.take("Q") for _ in range(dimensions))[::-1]
        kind, begin = header.take("I"), header.take("Q")
        if kind not in sizes:
            raise ValueError(f"{quotes.quoted(name)} is of the unknown type {kind}")
        if not prod(shape):
            raise ValueError(f"{quotes.quoted(name)} has no elements")
        elements, size = sizes[kind]
        if (shape[-1] if shape else 1) % elements:
            raise ValueError(f"the rows of {quotes.quoted(name)} are no whole blocks")
        yield Packed(name, kind, shape, begin, begin + prod(shape) // elements * size)
