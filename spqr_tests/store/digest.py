"""Digests: one way to turn settings, files and arrays into a key."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spqr_tests import files
from spqr_tests.errors import InputError

if TYPE_CHECKING:
    import torch

_REMEMBERED = 2**17
"""Files; reference sets have some ten thousands."""


def of_json(value: Any) -> str:
    """SHA-256 (hex) of a JSON value in canonical form: sorted keys, no spaces, no NaN."""
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return hashlib.sha256(text.encode()).hexdigest()


def of_bytes(data: bytes) -> str:
    """SHA-256 (hex) of bytes."""
    return hashlib.sha256(data).hexdigest()


def of_file(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes; `InputError` when it cannot be read.

    A file that has not changed is read once a process.
    """
    try:
        return _of_file(path, *signature(path))
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); its digest identifies what is measured."
        ) from error


def signature(path: Path) -> tuple[int, ...]:
    """Numbers of a file that change whenever it is written or replaced; `OSError` without one."""
    found = path.stat()
    # Its metadata's time, unlike that of its content, cannot be set.
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@lru_cache(_REMEMBERED)
def _of_file(path: Path, *_: int) -> str:
    files.start(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_files(folder: Path, paths: Iterable[Path]) -> str:
    """SHA-256 (hex) of files: their names relative to `folder` and their bytes, in any order."""
    return of_json(sorted((path.relative_to(folder).as_posix(), of_file(path)) for path in paths))


def of_pixels(image: NDArray[np.uint8]) -> str:
    """SHA-256 (hex) of an image's shape (height, width, 3) and bytes."""
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(np.ascontiguousarray(image).tobytes())
    return digest.hexdigest()


def of_tensor(tensor: "torch.Tensor") -> str:
    """SHA-256 (hex) of a tensor's bytes in row-major order, wherever it is."""
    import torch

    plain = tensor.detach().cpu().contiguous().reshape(-1)
    return hashlib.sha256(plain.view(torch.uint8).numpy().data).hexdigest()


def of_tensors(tensors: "Mapping[str, torch.Tensor]") -> str:
    """SHA-256 (hex) of tensors: their names, dtypes, shapes and bytes, in any order."""
    return of_json(
        {
            name: [str(tensor.dtype), list(tensor.shape), of_tensor(tensor)]
            for name, tensor in tensors.items()
        }
    )
