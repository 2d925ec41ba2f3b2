"""Conversion: a picture's pixels as RGB, the way image viewers show it.

Orientation tags are followed, values of more than 8 bits are reduced to their upper 8, and what is
transparent shows white. Of several frames or pages the first is taken. Colour profiles are not
applied: trainers and the customary tools for FID do not apply them either.
"""

import struct
import zlib
from enum import StrEnum
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, TiffImagePlugin

REVISION = 1
"""Part of what identifies a picture whose conversion is not Pillow's own; raise it when a change
here changes pixels.
"""

UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    # Damaged headers, frames and chunks end in whatever Pillow's code for the format comes to.
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
"""What Pillow raises for a picture that it cannot read."""
_ORIENTATION = 0x0112
# By the values of the EXIF tag; 1 is upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PHOTOMETRIC, _BITS = 262, 258
_BIT_DEPTH = 24
"""The offset of the bit depth in a PNG file."""
# Where a PNG may have its orientation: https://www.w3.org/TR/png-3/ has the first; the others are
# text that ImageMagick and Adobe's programs write.
_PNG_NOTES = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")


class Treatment(StrEnum):
    """What conversion does beyond Pillow's own, to be said of pictures."""

    UPRIGHT = "turned upright by the orientation in their EXIF data"
    ON_WHITE = "with transparency, which shows white"
    REDUCED = "in grey of 16 bits or floating point, reduced to 8 bits"
    FIRST = "with several frames or pages, of which the first is used"


def treatments(file: ImageFile.ImageFile) -> frozenset[Treatment]:
    """What `to_rgb` will do to an opened file, as far as its header tells."""
    found = {
        Treatment.UPRIGHT: _turn(file) is not None,
        Treatment.ON_WHITE: file.has_transparency_data or file.mode == "La",
        Treatment.REDUCED: _is_deep(file.mode),
        # The further pictures of a phone's JPEG are its preview or depth.
        Treatment.FIRST: file.format != "MPO" and bool(getattr(file, "is_animated", False)),
    }
    return frozenset(one for one, needed in found.items() if needed)


def to_rgb(file: ImageFile.ImageFile) -> NDArray[np.uint8]:
    """The pixels of an opened file, shape (height, width, 3).

    `ValueError` for values whose range is not known: integers of 32 bits or with a sign, and
    floating-point values outside of 0 to 1.
    """
    depth = _depth(file)
    file.load()
    turn = _turn(file)
    key = file.info.get("transparency")
    if _is_deep(file.mode):
        values = np.asarray(file if turn is None else file.transpose(turn))
        grey = _upper_bits(values, file)
        if isinstance(key, int):
            grey[values == key] = 255
        return np.repeat(grey[..., None], 3, axis=2)
    if isinstance(key, int | tuple) and depth is not None:
        file.info["transparency"] = _in_8_bits(key, depth)
    image = file if turn is None else file.transpose(turn)
    if image.mode == "La":
        # Grey that was multiplied by its alpha, which Pillow does not convert.
        grey, alpha = np.moveaxis(np.asarray(image).astype(np.int64), -1, 0)
        return np.repeat(np.clip(grey + 255 - alpha, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return np.asarray(Image.alpha_composite(white, image.convert("RGBA")).convert("RGB"))
    return np.asarray(image.convert("RGB"))


def _is_deep(mode: str) -> bool:
    return mode in {"I", "F"} or mode.startswith("I;16")


def _upper_bits(values: NDArray[np.generic], file: ImageFile.ImageFile) -> NDArray[np.uint8]:
    """The values of a grey picture in 8 bits.

    Of 16 bits the upper 8, as Pillow takes them from colour of 16 bits a channel.
    """
    tiff = file if isinstance(file, TiffImagePlugin.TiffImageFile) else None
    if file.mode == "F":
        numbers = values.astype(np.float64)
        low, high = float(numbers.min()), float(numbers.max())
        if not (low >= 0 and high <= 1):
            raise ValueError(
                f"its floating-point values are from {low:.4g} to {high:.4g}, and 0 (black) to 1"
                " (white) was expected; rescale them, or save it with 8 bits a channel"
            )
        grey = np.rint(numbers * 255)
    elif file.mode == "I" and tiff is not None:
        raise ValueError(
            "its values are integers of 32 bits or with a sign, which have no customary range; save"
            " it with 8 or 16 bits a channel"
        )
    else:
        twelve = tiff is not None and tiff.tag_v2.get(_BITS) == (12,)
        grey = np.asarray(values.astype(np.int64) >> (4 if twelve else 8), dtype=np.float64)
    inverted = tiff is not None and tiff.tag_v2.get(_PHOTOMETRIC) == 0
    return (255 - grey if inverted else grey).astype(np.uint8)


def _turn(file: ImageFile.ImageFile) -> Image.Transpose | None:
    """How to turn an opened file upright; None where it is, or where its tag cannot be read."""
    # Pillow itself turns a TIFF when it is loaded.
    if file.format == "TIFF" or (file.format == "PNG" and not _may_be_turned(file)):
        return None
    try:
        return _TURNS.get(file.getexif().get(_ORIENTATION, 1))
    except UNREADABLE:
        # Viewers show a picture with damaged EXIF data as it is stored.
        return None


def _may_be_turned(png: ImageFile.ImageFile) -> bool:
    """Whether a PNG has a chunk that may hold its orientation.

    Pillow would decode the whole picture to find out, since the chunk may come last.
    """
    if "exif" in png.info or "xmp" in png.info or "Raw profile type exif" in png.info:
        return True
    stream: IO[bytes] | None = png.fp
    if stream is None:  # loaded: all of its chunks were read
        return "XML:com.adobe.xmp" in png.info
    place = stream.tell()
    try:
        stream.seek(8)
        while len(head := stream.read(8)) == 8 and head[4:] != b"IEND":
            (length,) = struct.unpack(">I", head[:4])
            after = stream.tell() + length + 4
            if head[4:] == b"eXIf" or (
                head[4:] in {b"tEXt", b"zTXt", b"iTXt"} and stream.read(32).startswith(_PNG_NOTES)
            ):
                return True
            stream.seek(after)
    finally:
        stream.seek(place)
    return False


def _depth(file: ImageFile.ImageFile) -> int | None:
    """The bits a channel of a PNG that is not loaded yet; None for other files."""
    if file.format != "PNG" or file.fp is None:
        return None
    place = file.fp.tell()
    file.fp.seek(_BIT_DEPTH)
    depth = file.fp.read(1)
    file.fp.seek(place)
    return depth[0] if depth else None


def _in_8_bits(key: int | tuple[int, ...], depth: int) -> int | tuple[int, ...]:
    """A PNG's transparent colour, given in `depth` bits, as Pillow has the pixels."""

    def scaled(value: int) -> int:
        return value >> 8 if depth == 16 else value * 255 // (2**depth - 1)

    return scaled(key) if isinstance(key, int) else tuple(scaled(value) for value in key)
