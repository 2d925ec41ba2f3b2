"""Tensors in the store: safetensors files that say which entry they are, with a digest over all."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spqr_tests.store import digest, entry
from spqr_tests.store.entry import DamagedError

if TYPE_CHECKING:
    import torch

SUFFIX = ".safetensors"
_ENTRY = "spqr"
_LENGTH = 8
"""Bytes at the start of a safetensors file that give the length of its header."""
_LONGEST = 64 * 2**20


def save(
    path: Path, tensors: "Mapping[str, torch.Tensor]", kind: str, key: str, **content: Any
) -> str:
    """Write tensors as safetensors, with `content`, which is JSON; the digest of the tensors."""
    from safetensors.torch import save_file

    found = digest.of_tensors(tensors)
    table = entry.sealed(kind, key, tensors=found, **content)
    save_file(dict(tensors), path, {_ENTRY: json.dumps(table, ensure_ascii=False, allow_nan=False)})
    return found


def content(path: Path, kind: str, key: str) -> Mapping[str, Any]:
    """What is kept with the tensors, which are not looked at; `DamagedError` for anything else."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH), "little")
        header = file.read(min(length, _LONGEST))
    try:
        table = json.loads(json.loads(header)["__metadata__"][_ENTRY])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DamagedError("it is not a safetensors file of the store's") from error
    return entry.opened(table, kind, key)


def load(path: Path, kind: str, key: str) -> "tuple[dict[str, torch.Tensor], Mapping[str, Any]]":
    """The tensors, on the CPU, and what is kept with them; `DamagedError` for anything else."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    kept = content(path, kind, key)
    try:
        tensors = load_file(path)
    except (SafetensorError, KeyError, ValueError, RuntimeError, OverflowError) as error:
        raise DamagedError("its tensors cannot be read") from error
    if digest.of_tensors(tensors) != kept.get("tensors"):
        raise DamagedError("its tensors are not those that were stored")
    return tensors, kept
