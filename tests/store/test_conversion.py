"""Conversion: each mode in which Pillow opens a picture, against numbers that do without ours."""

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from skimage import color

from spqr_tests.errors import EvidenceError
from spqr_tests.store import pictures
from spqr_tests.store.conversion import Treatment

Array = NDArray[Any]
_RGB = np.random.default_rng(3).integers(0, 256, (8, 6, 3), np.uint8)
_GREY = np.random.default_rng(4).integers(0, 256, (8, 6), np.uint8)
_ALPHA = np.random.default_rng(5).integers(0, 256, (8, 6), np.uint8)
_DEEP = (_GREY.astype(np.uint16) << 8) + 77


def _pillow(array: Array | Image.Image, form: str, **saved: Any) -> bytes:
    buffer = io.BytesIO()
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    image.save(buffer, form, **saved)
    return buffer.getvalue()


def _tiff(array: Array, photometric: str = "minisblack", **saved: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, photometric=photometric, **saved)
    return buffer.getvalue()


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png(array: Array, depth: int, colour: int, *before: bytes, after: bytes = b"") -> bytes:
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
        (_chunk(b"IHDR", header), *before, _chunk(b"IDAT", pixels), after, _chunk(b"IEND", b""))
    )


def _twelve_bits(values: Array) -> bytes:
    """A TIFF of 12 bits a pixel, two of which share three bytes."""
    height, width = values.shape
    one, two = values.reshape(height, -1, 2).astype(np.uint16).transpose(2, 0, 1)
    packed = np.stack([one >> 4, (one & 15) << 4 | two >> 8, two & 255], -1).astype(np.uint8)
    data = packed.tobytes()
    entries = {256: width, 257: height, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: height}
    entries[279] = len(data)
    table = b"".join(struct.pack("<HHII", tag, 4, 1, entries[tag]) for tag in sorted(entries))
    start = struct.pack("<2sHI", b"II", 42, 8 + len(data))
    return start + data + struct.pack("<H", len(entries)) + table + bytes(4)


def _three(grey: Array) -> Array:
    return np.repeat(np.asarray(grey)[..., None], 3, axis=2)


def _on_white(colour: Array, alpha: Array) -> Array:
    share = np.asarray(alpha)[..., None] / 255
    return colour * share + 255 * (1 - share)


def _with_alpha(colour: Array, alpha: Array) -> Array:
    return np.dstack([colour, alpha])


def _jpeg(array: Array, mode: str) -> bytes:
    return _pillow(Image.fromarray(array, mode), "JPEG", quality=100, subsampling=0)


_PALETTE = Image.fromarray(_GREY // 64)
_PALETTE.putpalette([200, 30, 90, 10, 200, 40, 0, 0, 0, 250, 250, 10])
_PALETTE_ALPHA = _PALETTE.convert("PA")
_PALETTE_ALPHA.putalpha(Image.fromarray(_ALPHA))
_COLOURS = np.array([[200, 30, 90], [10, 200, 40], [0, 0, 0], [250, 250, 10]])[_GREY // 64]
_SEE_THROUGH = np.array([0, 255, 128, 255])[_GREY // 64]
_INK = np.random.default_rng(6).integers(0, 256, (8, 6, 4), np.uint8)
_SMOOTH = np.stack(np.meshgrid(np.arange(64) * 4, np.arange(64) * 4), -1).astype(np.uint8)
_SMOOTH = np.dstack([_SMOOTH, 255 - _SMOOTH[..., 0]])
# From the white of sRGB to the white of Lab: http://www.brucelindbloom.com/Eqn_ChromAdapt.html
_BRADFORD = np.array(
    [
        [1.0478112, 0.0228866, -0.0501270],
        [0.0295424, 0.9904844, -0.0170491],
        [-0.0092345, 0.0150436, 0.7521316],
    ]
)
# Pillow's library interpolates on a grid, which is off by up to 13 levels in a few pixels.
_PALE = _SMOOTH // 2 + 64
_LAB = color.xyz2lab(color.rgb2xyz(_PALE) @ _BRADFORD.T, illuminant="D50")
_LAB_FILE = np.dstack(
    [
        np.rint(_LAB[..., 0] * 2.55).astype(np.uint8),
        np.rint(_LAB[..., 1:]).astype(np.int8).view("u1"),
    ]
)

# A file, what it shows, and by how many of 256 levels a codec may be off.
SHOWN: dict[str, tuple[bytes, Array, float]] = {
    "RGB, PNG": (_pillow(_RGB, "PNG"), _RGB, 0),
    "RGB, BMP": (_pillow(_RGB, "BMP"), _RGB, 0),
    "RGB, PPM": (_pillow(_RGB, "PPM"), _RGB, 0),
    "RGB, TIFF": (_tiff(_RGB, "rgb"), _RGB, 0),
    "RGB, WebP": (_pillow(_RGB, "WEBP", lossless=True), _RGB, 0),
    "RGB of 16 bits, PNG": (_png(_RGB.astype(np.uint16) * 257, 16, 2), _RGB, 0),
    "RGB of 16 bits, TIFF": (_tiff(_RGB.astype(np.uint16) * 257, "rgb"), _RGB, 0),
    "RGB with a channel that means nothing": (
        _tiff(_with_alpha(_RGB, _ALPHA), "rgb", extrasamples=["unspecified"]),
        _RGB,
        0,
    ),
    "grey": (_pillow(_GREY, "PNG"), _three(_GREY), 0),
    "grey of 2 bits": (_png(_GREY // 64, 2, 0), _three(_GREY // 64 * 85), 0),
    "grey of 4 bits": (_png(_GREY // 16, 4, 0), _three(_GREY // 16 * 17), 0),
    "1 bit": (_png(_GREY // 128, 1, 0), _three(_GREY // 128 * 255), 0),
    "grey of 8 bits, 0 is white": (_tiff(_GREY, "miniswhite"), _three(255 - _GREY), 0),
    "grey of 16 bits, PNG": (_pillow(_DEEP, "PNG"), _three(_GREY), 0),
    "grey of 16 bits, PGM": (_pillow(Image.fromarray(_DEEP), "PPM"), _three(_GREY), 0),
    "grey of 16 bits, TIFF": (_tiff(_DEEP), _three(_GREY), 0),
    "grey of 16 bits, big-endian TIFF": (_tiff(_DEEP, byteorder=">"), _three(_GREY), 0),
    "grey of 16 bits, 0 is white": (_tiff(_DEEP, "miniswhite"), _three(255 - _GREY), 0),
    "grey of 12 bits": (_twelve_bits(_DEEP >> 4), _three(_GREY), 0),
    "floats from 0 to 1": (_tiff((_GREY / 255).astype(np.float32)), _three(_GREY), 0),
    "floats, 0 is white": (
        _tiff((_GREY / 255).astype(np.float32), "miniswhite"),
        _three(255 - _GREY),
        0,
    ),
    "floats, PFM": (
        _pillow(Image.fromarray((_GREY / 255).astype(np.float32)), "PPM"),
        _three(_GREY),
        0,
    ),
    "palette": (_pillow(_PALETTE, "PNG"), _COLOURS, 0),
    "palette, GIF": (_pillow(_PALETTE, "GIF"), _COLOURS, 0),
    "palette, BMP": (_pillow(_PALETTE, "BMP"), _COLOURS, 0),
    "palette with alpha": (
        _pillow(_PALETTE, "PNG", transparency=bytes([0, 255, 128, 255])),
        _on_white(_COLOURS, _SEE_THROUGH),
        1,
    ),
    "palette with one transparent entry, GIF": (
        _pillow(_PALETTE, "GIF", transparency=2),
        _on_white(_COLOURS, np.where(_GREY // 64 == 2, 0, 255)),
        0,
    ),
    "palette and alpha, TIFF": (_pillow(_PALETTE_ALPHA, "TIFF"), _on_white(_COLOURS, _ALPHA), 1),
    "RGB and alpha, PNG": (
        _pillow(_with_alpha(_RGB, _ALPHA), "PNG"),
        _on_white(_RGB, _ALPHA),
        1,
    ),
    "RGB and alpha, WebP": (
        _pillow(_with_alpha(_RGB, _ALPHA), "WEBP", lossless=True, exact=True),
        _on_white(_RGB, _ALPHA),
        1,
    ),
    "RGB and alpha of 16 bits": (
        _png(_with_alpha(_RGB, _ALPHA).astype(np.uint16) * 257, 16, 6),
        _on_white(_RGB, _ALPHA),
        1,
    ),
    "RGB and alpha, TIFF": (
        _tiff(_with_alpha(_RGB, _ALPHA), "rgb", extrasamples=["unassalpha"]),
        _on_white(_RGB, _ALPHA),
        1,
    ),
    # The file has colour times alpha; Pillow divides, in 8 bits.
    "RGB times alpha, TIFF": (
        _tiff(
            _with_alpha(_RGB // 4 * 3, np.full_like(_ALPHA, 192)),
            "rgb",
            extrasamples=["assocalpha"],
        ),
        np.minimum(_RGB // 4 * 3.0 + 63, 255),
        2,
    ),
    "grey and alpha": (
        _pillow(np.dstack([_GREY, _ALPHA]), "PNG"),
        _on_white(_three(_GREY), _ALPHA),
        1,
    ),
    "grey and alpha of 16 bits": (
        _png(np.dstack([_GREY, _ALPHA]).astype(np.uint16) * 257, 16, 4),
        _on_white(_three(_GREY), _ALPHA),
        1,
    ),
    "grey times alpha, TIFF": (
        _tiff(
            np.dstack([_GREY // 2, np.full_like(_ALPHA, 128)]),
            extrasamples=["assocalpha"],
            planarconfig="contig",
        ),
        _three(_GREY // 2 + 127.0),
        0,
    ),
    "inks": (
        _tiff(_INK, "separated"),
        (255.0 - _INK[..., :3]) * (255.0 - _INK[..., 3:]) / 255,
        1.5,
    ),
    "inks of 16 bits": (
        _tiff(_INK.astype(np.uint16) * 257, "separated"),
        (255.0 - _INK[..., :3]) * (255.0 - _INK[..., 3:]) / 255,
        1.5,
    ),
    # Pillow writes Adobe's marker, whose inks are inverted in the file.
    "inks, JPEG": (
        _jpeg(np.dstack([_SMOOTH, np.zeros_like(_SMOOTH[..., 0])]), "CMYK"),
        255.0 - _SMOOTH,
        6,
    ),
    "JPEG": (_jpeg(_SMOOTH, "RGB"), _SMOOTH, 6),
    "grey JPEG": (_pillow(_SMOOTH[..., 0], "JPEG", quality=100), _three(_SMOOTH[..., 0]), 6),
    "luma and chroma, TIFF": (
        _pillow(Image.fromarray(_SMOOTH).convert("YCbCr"), "TIFF"),
        _SMOOTH,
        6,
    ),
    "Lab": (_tiff(_LAB_FILE, "cielab"), _PALE, 14),
    "a phone's two pictures": (
        _pillow(
            Image.fromarray(_SMOOTH),
            "MPO",
            save_all=True,
            append_images=[Image.new("RGB", (64, 64))],
            quality=100,
            subsampling=0,
        ),
        _SMOOTH,
        6,
    ),
}


def _keyed(depth: int, colour: int, samples: Array, key: int | tuple[int, ...]) -> bytes:
    values = (key,) if isinstance(key, int) else key
    return _png(samples, depth, colour, _chunk(b"tRNS", struct.pack(f">{len(values)}H", *values)))


def _without(shown: Array, hidden: Array) -> Array:
    return np.where(hidden[..., None], 255, shown)


for _bits in (1, 2, 4, 8, 16):
    _top = 2**_bits - 1
    _samples = _DEEP if _bits == 16 else _GREY >> (8 - _bits)
    _levels = _GREY if _bits == 16 else np.rint(_samples * (255 / _top))
    _key = (
        1 if _bits == 1 else int(_samples[2, 3])
    )  # without black, a picture of 1 bit shows nothing
    SHOWN[f"grey of {_bits} bits without one level"] = (
        _keyed(_bits, 0, _samples, _key),
        _without(_three(_levels), _samples == _key),
        0,
    )
for _bits, _samples in ((8, _RGB), (16, _RGB.astype(np.uint16) * 257)):
    _colour = tuple(int(one) for one in _samples[2, 3])
    SHOWN[f"RGB of {_bits} bits without one colour"] = (
        _keyed(_bits, 2, _samples, _colour),
        _without(_RGB, (_samples == _colour).all(axis=-1)),
        0,
    )


@pytest.mark.parametrize(("data", "shown", "off"), SHOWN.values(), ids=SHOWN)
def test_a_picture_is_read_as_viewers_show_it(
    tmp_path: Path, data: bytes, shown: Array, off: float
) -> None:
    (tmp_path / "some").write_bytes(data)
    found = pictures.read_rgb(tmp_path / "some")
    assert (found.dtype, found.shape) == (np.uint8, shown.shape)
    np.testing.assert_allclose(found, shown, rtol=0, atol=max(off, 0.51))


def _moving(form: str) -> bytes:
    frames = [Image.fromarray(one) for one in (_SMOOTH, 255 - _SMOOTH)]
    return _pillow(frames[0], form, save_all=True, append_images=frames[1:], lossless=True)


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_or_page_is_read(tmp_path: Path, form: str) -> None:
    (tmp_path / "some").write_bytes(_moving(form))
    off = 60 if form == "GIF" else 0.0  # a palette for 4,096 colours
    np.testing.assert_allclose(pictures.read_rgb(tmp_path / "some"), _SMOOTH, rtol=0, atol=off)
    assert pictures.require(tmp_path / "some") == {Treatment.FIRST}


# By EXIF's numbers: from upright to how a camera stored it.
STORED: Mapping[int, Callable[[Array], Array]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright.swapaxes(0, 1)[::-1, ::-1],
    8: lambda upright: np.rot90(upright, -1),
}


def _exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def _xmp(orientation: int) -> bytes:
    return (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="%d"/></x:xmpmeta>'
        % orientation
    )


def _text(keyword: bytes, text: bytes) -> bytes:
    return _chunk(b"iTXt", keyword + b"\0\0\0\0\0" + text)


def _profile(orientation: int) -> bytes:
    """What ImageMagick writes of EXIF data: its length and its hexadecimal digits."""
    data = _exif(orientation)
    return _chunk(
        b"tEXt", b"Raw profile type exif\0\nexif\n%8d\n%s\n" % (len(data), data.hex().encode())
    )


TURNED: Mapping[str, Callable[[Array, int], bytes]] = {
    "JPEG": lambda stored, tag: _pillow(
        stored, "JPEG", exif=_exif(tag), quality=100, subsampling=0
    ),
    "WebP": lambda stored, tag: _pillow(stored, "WEBP", exif=_exif(tag), lossless=True),
    "PNG": lambda stored, tag: _pillow(stored, "PNG", exif=_exif(tag)),
    "PNG, EXIF after its pixels": lambda stored, tag: _png(
        stored, 8, 2, after=_chunk(b"eXIf", _exif(tag).removeprefix(b"Exif\0\0"))
    ),
    "PNG, ImageMagick's text": lambda stored, tag: _png(stored, 8, 2, _profile(tag)),
    "PNG, ImageMagick's text at the end": lambda stored, tag: _png(
        stored, 8, 2, after=_profile(tag)
    ),
    "PNG, XMP": lambda stored, tag: _png(stored, 8, 2, _text(b"XML:com.adobe.xmp", _xmp(tag))),
    "TIFF": lambda stored, tag: _pillow(stored, "TIFF", tiffinfo={274: tag}),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("write", TURNED.values(), ids=TURNED)
def test_a_picture_is_turned_upright(
    tmp_path: Path, write: Callable[[Array, int], bytes], orientation: int
) -> None:
    upright = np.ascontiguousarray(_SMOOTH[:40])
    path = tmp_path / "some"
    path.write_bytes(write(np.ascontiguousarray(STORED[orientation](upright)), orientation))
    np.testing.assert_allclose(pictures.read_rgb(path), upright, rtol=0, atol=6)
    # Pillow turns a TIFF by itself, so that its identity needs no revision.
    is_tiff = path.read_bytes()[:2] in {b"II", b"MM"}
    assert pictures.require(path) == (
        {Treatment.UPRIGHT} if orientation != 1 and not is_tiff else set()
    )


@pytest.mark.parametrize("orientation", [3, 6])
def test_depth_and_transparency_are_turned_as_well(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "some"
    for stored, shown in (
        (_DEEP, _three(_GREY)),
        (_with_alpha(_RGB, _ALPHA), _on_white(_RGB, _ALPHA)),
    ):
        turned = np.ascontiguousarray(STORED[orientation](stored))
        path.write_bytes(_pillow(turned, "PNG", exif=_exif(orientation)))
        np.testing.assert_allclose(pictures.read_rgb(path), shown, rtol=0, atol=1)


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\xff\xff", _exif(99)])
def test_exif_data_that_says_nothing_turns_nothing(tmp_path: Path, exif: bytes) -> None:
    (tmp_path / "some").write_bytes(_pillow(_SMOOTH, "JPEG", exif=exif, quality=100, subsampling=0))
    np.testing.assert_allclose(pictures.read_rgb(tmp_path / "some"), _SMOOTH, rtol=0, atol=6)
    assert pictures.require(tmp_path / "some") == set()


UNKNOWN = {
    "32 bits": (_tiff(_DEEP.astype(np.int32)), "integers of 32 bits or with a sign"),
    "32 bits without a sign": (_tiff(_DEEP.astype(np.uint32)), "integers of 32 bits or with a"),
    "16 bits with a sign": (_tiff(_DEEP.astype(np.int16)), "integers of 32 bits or with a sign"),
    "floats up to 255": (
        _tiff(np.array([[0, 255], [3, 4]], np.float32)),
        r"floating-point values are from 0 to 255, and 0 \(black\) to 1",
    ),
    "floats below 0": (_tiff(np.array([[-1, 1], [0, 0]], np.float32)), "are from -1 to 1"),
    "no number": (_tiff(np.array([[np.nan, 1], [0, 0]], np.float32)), "are from nan to nan"),
    "infinity": (_tiff(np.array([[np.inf, 1], [0, 0]], np.float32)), "are from 0 to inf"),
    "floats of 64 bits": (_tiff(np.eye(4)), "a TIFF that Pillow does not read; save it with 8"),
    "floats in colour": (
        _tiff(np.ones((4, 4, 3), np.float32), "rgb"),
        "a TIFF that Pillow does not read; save it with 8 bits a channel",
    ),
}


@pytest.mark.parametrize(("data", "sentence"), UNKNOWN.values(), ids=UNKNOWN)
def test_values_of_unknown_range_are_refused(tmp_path: Path, data: bytes, sentence: str) -> None:
    (tmp_path / "some.tif").write_bytes(data)
    with pytest.raises(
        EvidenceError, match=rf"^The picture .*some\.tif cannot be read \(.*{sentence}"
    ):
        pictures.read_rgb(tmp_path / "some.tif")
