"""Digests: one way to turn settings, files and arrays into a key."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spqr_tests import files
from spqr_tests.errors import InputError


def of_json(value: Any) -> str:
    """SHA-256 (hex) of a JSON value in canonical form: sorted keys, no spaces, no NaN."""
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return hashlib.sha256(text.encode()).hexdigest()


def of_file(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes; `InputError` when it cannot be read."""
    files.start(path)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); its digest identifies what is measured."
        ) from error


def of_files(folder: Path, paths: Iterable[Path]) -> str:
    """SHA-256 (hex) of files: their names relative to `folder` and their bytes, in any order."""
    return of_json(sorted((path.relative_to(folder).as_posix(), of_file(path)) for path in paths))


def of_pixels(image: NDArray[np.uint8]) -> str:
    """SHA-256 (hex) of an image's shape (height, width, 3) and bytes."""
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(np.ascontiguousarray(image).tobytes())
    return digest.hexdigest()
