"""Images on disk: PNG files that say which entry they are, with their digest and provenance."""

import io
import json
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from spqr_tests.store import digest, entry
from spqr_tests.store.conversion import UNREADABLE
from spqr_tests.store.entry import DamagedError

Pixels = NDArray[np.uint8]
"""RGB, shape (height, width, 3)."""


class Picture(Protocol):
    """What is judged and embedded: a generation, or a picture of a user's."""

    @property
    def path(self) -> Path:
        """Its file, for messages."""

    @property
    def digest(self) -> str:
        """SHA-256 (hex) by which it is known."""

    def pixels(self) -> Pixels:
        """The picture; `EvidenceError` when it is not what the digest says."""


_ENTRY = "spqr:entry"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BLANK_SPAN = 2


def is_blank(image: Pixels) -> bool:
    """Whether an image shows nothing: each channel spans at most two of its 256 levels."""
    span = image.reshape(-1, image.shape[-1]).max(axis=0).astype(int) - image.reshape(
        -1, image.shape[-1]
    ).min(axis=0)
    return bool((span <= _BLANK_SPAN).all())


def to_png(image: Pixels, kind: str, key: str, provenance: dict[str, Any]) -> bytes:
    """A PNG that says which entry of the store it is.

    Kind, key, the digest of the pixels and the provenance are in a text chunk, with a digest over
    all of them.
    """
    table = entry.sealed(kind, key, pixels=digest.of_pixels(image), provenance=provenance)
    text = PngImagePlugin.PngInfo()
    text.add_itxt(_ENTRY, json.dumps(table, ensure_ascii=False))
    buffer = io.BytesIO()
    # Compression takes most of the time, and a higher level hardly shrinks noise-like images.
    Image.fromarray(image).save(buffer, format="PNG", pnginfo=text, compress_level=1)
    return buffer.getvalue()


def from_png(data: bytes, kind: str, key: str) -> tuple[Pixels, str]:
    """The pixels of the PNG that `to_png` made for this entry, and their digest.

    `DamagedError` for anything else.
    """
    image, table = _decoded(data)
    found = digest.of_pixels(image)
    if entry.opened(table, kind, key)["pixels"] != found:
        raise DamagedError("it does not hold the pixels that were stored")
    return image, found


def pixels(data: bytes) -> Pixels:
    """The pixels of a PNG whose digest is known; `DamagedError` when it cannot be read."""
    return _decoded(data)[0]


def _decoded(data: bytes) -> tuple[Pixels, Any]:
    """The pixels, and what the text chunk says."""
    _require_intact(data)
    try:
        with _bombs_refused(), Image.open(io.BytesIO(data), formats=["PNG"]) as file:
            file.load()
            return np.asarray(file.convert("RGB")), json.loads(file.info.get(_ENTRY, "null"))
    except UNREADABLE as error:
        raise DamagedError(f"it is not a readable PNG ({error})") from error


def stated_digest(path: Path, kind: str, key: str) -> str | None:
    """The digest of the pixels that an entry's PNG states, without reading them.

    None when there is no such PNG.
    """
    if not path.is_file():  # a pipe would be waited for
        return None
    try:
        with _bombs_refused(), Image.open(path, formats=["PNG"]) as file:
            table = json.loads(file.info.get(_ENTRY, "null"))
        return str(entry.opened(table, kind, key)["pixels"])
    except (*UNREADABLE, DamagedError):
        return None


def _require_intact(data: bytes) -> None:
    """`DamagedError` unless a PNG's chunks have their checksums, all of which Pillow does not ask.

    See the PNG specification, section 5.3 (chunk layout).
    """
    place = len(_SIGNATURE)
    while data.startswith(_SIGNATURE) and place + 12 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        end = place + 8 + length
        stated = int.from_bytes(data[end : end + 4], "big")
        if end + 4 > len(data) or zlib.crc32(data[place + 4 : end]) != stated:
            break
        if data[place + 4 : place + 8] == b"IEND" and end + 4 == len(data):
            return
        place = end + 4
    raise DamagedError("it is not a PNG as it was written")


@contextmanager
def _bombs_refused() -> Iterator[None]:
    """Turn Pillow's warning of a decompression bomb into an error.

    A picture of that size is an attack or a mistake.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield
