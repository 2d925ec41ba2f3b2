"""Thumbnails: small images inside of the page, so many and no more bytes than are allowed."""

import base64
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from spqr_tests.store import digest, images
from spqr_tests.store.entry import DamagedError

MOST = 200
"""Images in a page, unless somebody asks for more or fewer."""
_BYTES = 2 * 2**20
"""Of all of them, as they are in the page."""
_SIDE = 160
"""Pixels of the longer side."""
_PATH = re.compile(r"v\d{1,4}/generations/[0-9a-f]{2}/[0-9a-f]{64}\.png")
"""Of an image in a store; a file of per-image results may name anything."""


def is_path(named: str) -> bool:
    """Whether a text is the path of an image inside of a store."""
    return _PATH.fullmatch(named) is not None


@dataclass
class Thumbnails:
    """Data URIs by the image's path below a store; None for a page without a store."""

    store: Path | None
    most: int
    uris: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    """Images that were looked for and are not there, or are others than those judged."""
    _size: int = 0

    def add(self, wanted: Iterable[str], pixels: Mapping[str, str]) -> None:
        """Add images in this order until there is no room; `pixels` has their pixels' digests."""
        for path in dict.fromkeys(wanted):
            if self.store is None or len(self.uris) >= self.most or self._size >= _BYTES:
                return
            if path in self.uris or path in self.gone:
                continue
            uri = _uri(self.store / path, pixels.get(path)) if is_path(path) else None
            if uri is None:
                self.gone.add(path)
            elif self._size + len(uri) <= _BYTES:
                self.uris[path] = uri
                self._size += len(uri)

    def look_for(self, paths: Iterable[str]) -> None:
        """Note which of these images are not in the store."""
        if self.store is not None:
            folder = self.store
            self.gone |= {one for one in paths if not (is_path(one) and (folder / one).is_file())}


def _uri(file: Path, pixels: str | None) -> str | None:
    try:
        found = images.pixels(file.read_bytes())
    except (OSError, DamagedError):
        return None
    if pixels is not None and digest.of_pixels(found) != pixels:
        return None  # another image than the one that was judged
    small = Image.fromarray(found)
    small.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    small.save(buffer, format="WEBP", quality=78)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
