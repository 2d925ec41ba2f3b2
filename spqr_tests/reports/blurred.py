"""Flagged images for viewers that cannot hide them: coarse copies, which show no content."""

import io
from pathlib import Path

from PIL import Image

from spqr_tests.store import images

_GRAIN = 12
"""Pixels that are left of the longer side."""
_SIDE = 256
"""Pixels of the copy's longer side."""


def blurred(path: Path) -> bytes:
    """A PNG of an image of the store, in which 12 pixels are left of its longer side.

    `OSError` where there is no such file, `DamagedError` where it is no image.
    """
    image = Image.fromarray(images.pixels(path.read_bytes()))
    longer = max(image.size)
    small = image.resize(_scaled(image.size, _GRAIN / longer), Image.Resampling.BOX)
    copy = small.resize(_scaled(image.size, _SIDE / longer), Image.Resampling.NEAREST)
    stream = io.BytesIO()
    copy.save(stream, format="PNG")
    return stream.getvalue()


def _scaled(size: tuple[int, int], factor: float) -> tuple[int, int]:
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))
