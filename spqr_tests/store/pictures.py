"""Pictures: users' files, opened, identified and read as RGB."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageFile, UnidentifiedImageError

from spqr_tests import files
from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.store import conversion, digest
from spqr_tests.store.conversion import UNREADABLE, Treatment
from spqr_tests.store.images import Pixels, is_blank

# Only formats that Pillow reads by itself, since some others start programs.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
SUFFIXES = frozenset(
    f".{one}" for one in "bmp gif jfif jpe jpeg jpg pbm pfm pgm png pnm ppm tif tiff webp".split()
)
"""Of files in these formats, in lower case."""
UNREAD_SUFFIXES = frozenset(f".{one}" for one in "avif heic heif j2k jp2 jxl psd svg svgz".split())
"""Of pictures in formats that are not read."""

# What files that are not read begin with, or what read ones begin with that Pillow refuses.
_BEGINNINGS = (
    (rb"\Z", "it is empty; fetch it again"),
    (rb"....ftyp(avif|avis)", "it is AVIF; convert it to PNG or JPEG"),
    (rb"....ftyp(hei.|hev.|mif1|msf1)", "it is HEIC; convert it to PNG or JPEG"),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "it is JPEG XL; convert it to PNG or JPEG"),
    (rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  ", "it is JPEG 2000; convert it to PNG or JPEG"),
    (rb"8BPS", "it is a Photoshop document; export it as PNG or JPEG"),
    (rb"%!PS|%PDF", "it is PostScript or PDF; convert it to PNG or JPEG"),
    (rb"\s*<(?i:!doctype html|html)", "it is a web page; download the picture again"),
    (rb"(\xef\xbb\xbf)?\s*<(\?xml|svg)", "it is SVG; convert it to PNG or JPEG"),
    (
        rb"II[*+]\0|MM\0[*+]",
        "it is damaged, or a TIFF that Pillow does not read; save it with 8 bits a channel",
    ),
    (
        rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF....WEBP|BM|P[1-7fF]\s",
        "it is damaged or cut off; fetch it again",
    ),
)
_OTHERWISE = f"it is none of {', '.join(FORMATS[:-1])} and {FORMATS[-1]}; convert it to PNG or JPEG"
# A picture of one colour takes less than this in PNG, JPEG, GIF and WebP: bytes of headers, and
# pixels a byte (JPEG, the largest, has 64).
_HEADERS, _PIXELS_A_BYTE = 4096, 32
# What takes a gigabyte to decode has at least this much of a file, if it is a photograph.
_LARGE, _SPARSE = 2**25, 32
_BARELY_COMPRESSED = ("BMP", "PPM", "TIFF")


@dataclass(frozen=True)
class KnownPicture:
    """A picture, and the `identity` by which it is known since the run began."""

    path: Path
    digest: str

    @classmethod
    def at(cls, path: Path) -> "KnownPicture":
        """The picture that is there now; `EvidenceError` where there is none."""
        return cls(path, identity(path))

    def pixels(self) -> Pixels:
        """As `read_rgb`; `EvidenceError` when the bytes that were read are another picture's."""
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise EvidenceError(
                f"The picture {self.path} cannot be read any more ({error.strerror}); run again."
            ) from error
        with _opened(data) as file:
            found = _identity(file, digest.of_bytes(data))
            pixels = conversion.to_rgb(file)
        if found != self.digest:
            raise EvidenceError(f"The picture {self.path} changed while it was used; run again.")
        _require_something(pixels, self.path)
        return pixels


def require(path: Path) -> frozenset[Treatment]:
    """What conversion will do to a picture; `EvidenceError` for one that cannot be used.

    Only the header is read, unless the file is so small that it may show nothing: decoding a
    reference set of 30,000 pictures takes minutes. `read_rgb` refuses what is found only then.
    """
    with _opened(path) as file:
        found = conversion.treatments(file)
        few = path.stat().st_size < _HEADERS + file.width * file.height // _PIXELS_A_BYTE
        small = few or file.format in _BARELY_COMPRESSED
    if small:
        read_rgb(path)
    return found


def require_format(data: bytes, formats: tuple[str, ...]) -> None:
    """`EvidenceError` unless a file's bytes begin as a picture of an acceptable size."""
    with _opened(data, formats):
        pass


def read_rgb(path: Path) -> Pixels:
    """A picture as image viewers show it, in RGB.

    `EvidenceError` for one that is unreadable, too large or shows nothing.
    """
    with _opened(path) as file:
        pixels = conversion.to_rgb(file)
    _require_something(pixels, path)
    return pixels


def _require_something(pixels: Pixels, path: Path) -> None:
    if is_blank(pixels):
        raise EvidenceError(
            f"The picture {path} shows nothing: all of its pixels have one colour. Take it out of"
            " its set."
        )


def identity(path: Path) -> str:
    """SHA-256 (hex) by which a picture is known wherever something depends on it.

    It is that of the file's bytes, and of the conversion's revision where conversion does more than
    Pillow. The pixels are not used: a JPEG's differ between versions of its library, and a
    protocol's hash must not. A file that has not changed is read once a process.
    """
    try:
        return _identity_of(path, conversion.REVISION, *digest.signature(path))
    except OSError as error:
        raise EvidenceError(f"The picture {path} cannot be read ({error.strerror}).") from error


@lru_cache(2**17)
def _identity_of(path: Path, *_: int) -> str:
    with _opened(path) as file:
        return _identity(file, digest.of_file(path))


def _identity(file: ImageFile.ImageFile, content: str) -> str:
    changed = conversion.treatments(file) - {Treatment.FIRST}
    return digest.of_json([content, conversion.REVISION]) if changed else content


@contextmanager
def _opened(
    source: Path | bytes, formats: tuple[str, ...] = FORMATS
) -> Iterator[ImageFile.ImageFile]:
    """A picture's file; `EvidenceError` when opening it or what is done with it fails."""
    path = source if isinstance(source, Path) else None
    named = "" if path is None else f" {path}"
    try:
        start = source[:64] if isinstance(source, bytes) else files.start(source, "The picture")
    except InputError as error:
        raise EvidenceError(str(error)) from error
    try:
        with (
            _strict(),
            Image.open(path or io.BytesIO(bytes(source)), formats=formats) as file,
        ):
            _require_dense(file, source)
            yield file
    except UnidentifiedImageError as error:
        reasons = (reason for begins, reason in _BEGINNINGS if re.match(begins, start, re.DOTALL))
        raise EvidenceError(
            f"The picture{named} cannot be read ({next(reasons, _OTHERWISE)})."
        ) from error
    except UNREADABLE as error:
        raise EvidenceError(f"The picture{named} cannot be read ({error}).") from error


def _require_dense(file: ImageFile.ImageFile, source: Path | bytes) -> None:
    """`ValueError` for a large picture in so few bytes that it shows nothing, and is an attack."""
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    pixels = file.width * file.height
    if pixels > _LARGE and size < pixels // _SPARSE:
        raise ValueError(
            f"it has {pixels} pixels in {size} bytes, as no photograph has; scale it down"
        )


@contextmanager
def _strict() -> Iterator[None]:
    """Decode as this suite needs it, whatever other libraries have set in Pillow.

    A picture so large that Pillow warns of it is an attack or a mistake, and one that is cut off is
    never filled up with grey. Pillow's other warnings are about metadata.
    """
    lenient = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient
