"""Images on disk: PNG files that carry their own digest and provenance."""

import io
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from spqr_tests.errors import EvidenceError
from spqr_tests.store import digest

Pixels = NDArray[np.uint8]
"""RGB, shape (height, width, 3)."""

_DIGEST = "spqr:sha256"
_PROVENANCE = "spqr:provenance"
_BLANK_SPAN = 2
_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


def is_blank(image: Pixels) -> bool:
    """Whether an image shows nothing: each channel spans at most two of its 256 levels."""
    span = image.reshape(-1, image.shape[-1]).max(axis=0).astype(int) - image.reshape(
        -1, image.shape[-1]
    ).min(axis=0)
    return bool((span <= _BLANK_SPAN).all())


def to_png(image: Pixels, provenance: dict[str, Any]) -> bytes:
    """A PNG whose text chunks hold the digest of its pixels and its provenance."""
    text = PngImagePlugin.PngInfo()
    text.add_text(_DIGEST, digest.of_pixels(image))
    text.add_itxt(_PROVENANCE, json.dumps(provenance, ensure_ascii=False, sort_keys=True))
    buffer = io.BytesIO()
    # Compression takes most of the time, and a higher level hardly shrinks noise-like images.
    Image.fromarray(image).save(buffer, format="PNG", pnginfo=text, compress_level=1)
    return buffer.getvalue()


def from_png(data: bytes, source: Path) -> tuple[Pixels, str]:
    """The pixels of a PNG that `to_png` made, and their digest.

    `EvidenceError` when the file is unreadable or its pixels do not match the digest in it.
    """
    try:
        with _bombs_refused(), Image.open(io.BytesIO(data), formats=["PNG"]) as file:
            file.load()
            image = np.asarray(file.convert("RGB"))
            stated = file.info.get(_DIGEST)
    except _UNREADABLE as error:
        raise EvidenceError(
            f"{source} is not a readable PNG ({error}); delete it, and the next run makes it again."
        ) from error
    found = digest.of_pixels(image)
    if stated != found:
        raise EvidenceError(
            f"{source} does not hold the pixels that were stored; delete it, and the next run makes"
            " it again."
        )
    return image, found


def stated_digest(path: Path) -> str | None:
    """The digest that a PNG made by `to_png` states, without reading its pixels.

    None when there is no such PNG.
    """
    try:
        with _bombs_refused(), Image.open(path, formats=["PNG"]) as file:
            stated = file.info.get(_DIGEST)
    except _UNREADABLE:
        return None
    return stated if isinstance(stated, str) else None


@contextmanager
def _bombs_refused() -> Iterator[None]:
    """Turn Pillow's warning of a decompression bomb into an error.

    A picture of that size is an attack or a mistake.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield
