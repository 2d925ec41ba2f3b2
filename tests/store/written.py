"""Pictures' files, written sample by sample where no library writes them."""

import io
import struct
import zlib
from typing import Any

import tifffile
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[Any]


def pillow(array: Array | Image.Image, form: str, **saved: Any) -> bytes:
    buffer = io.BytesIO()
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    image.save(buffer, form, **saved)
    return buffer.getvalue()


def tiff(array: Array, photometric: str = "minisblack", **saved: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, photometric=photometric, **saved)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(array: Array, depth: int, colour: int, *before: bytes, after: bytes = b"") -> bytes:
    """A PNG of samples as they are, with chunks before and after its pixels."""
    rows = [row.astype(f">u{max(depth, 8) // 8}").tobytes() for row in array]
    if depth < 8:
        rows = [
            bytes(
                sum(int(one) << (8 - depth * (at + 1)) for at, one in enumerate(row[start:][:size]))
                for start in range(0, len(row), size)
            )
            for row, size in ((row, 8 // depth) for row in array)
        ]
    height, width = array.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", header), *before, chunk(b"IDAT", pixels), after, chunk(b"IEND", b""))
    )
