"""A safetensors file read as what it is, a header and bytes, without torch.

The header is bounded before it is parsed: a file with a million empty tensors is otherwise accepted and costs gigabytes.
"""

import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spqr_tests.evidence.errors import InputError

# The largest header among published checkpoints is below 1 MiB (FLUX: .2 MiB).
_MAX_HEADER = 16 * 2**20
_BLOCK = 2**22


@dataclass(frozen=True)
class TensorEntry:
    """One tensor of a file: its dtype as safetensors names it, its shape and where its bytes lie."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def entries(path: Path) -> list[TensorEntry]:
    """The tensors of a file, sorted by name; `InputError` for anything that is not a sound safetensors file."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            prefix = file.read(8)
            length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
            if not 0 < length <= min(size - 8, _MAX_HEADER):
                raise InputError(
                    f"{path} is not a safetensors file that can be read: its header claims {length} bytes of {size} "
                    f"(at most {_MAX_HEADER} are accepted)."
                )
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        start = 8 + length
        found = [_entry(name, table, start) for name, table in sorted(header.items())]
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not a safetensors file: its header cannot be parsed.") from error
    if any(not start <= e.begin <= e.end <= size for e in found):
        raise InputError(f"{path} is cut short: its header names bytes beyond its {size}.")
    return found


def _entry(name: str, table: dict[str, Any], start: int) -> TensorEntry:
    begin, end = table["data_offsets"]
    if not (isinstance(table["dtype"], str) and all(type(number) is int for number in (*table["shape"], begin, end))):
        raise ValueError(f"{name} is described by values of other types")
    return TensorEntry(name, table["dtype"], tuple(table["shape"]), start + begin, start + end)


def digests(path: Path) -> Iterator[tuple[str, str]]:
    """Name and SHA-256 (hex, over dtype, shape and bytes) of every tensor of a file."""
    found = entries(path)
    with path.open("rb") as file:
        for entry in found:
            state = hashlib.sha256(f"{entry.dtype}{list(entry.shape)}".encode())
            file.seek(entry.begin)
            left = entry.end - entry.begin
            while left > 0 and (block := file.read(min(left, _BLOCK))):
                state.update(block)
                left -= len(block)
            yield entry.name, state.hexdigest()
