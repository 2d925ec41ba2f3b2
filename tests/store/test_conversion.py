"""Conversion: each mode in which Pillow opens a picture, against numbers that do without ours."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, TiffImagePlugin
from skimage import color

from spqr_tests.errors import EvidenceError
from spqr_tests.store import pictures
from spqr_tests.store.conversion import Treatment
from tests.store.written import Array, chunk, pillow, png, tiff

_RGB = np.random.default_rng(3).integers(0, 256, (8, 6, 3), np.uint8)
_GREY = np.random.default_rng(4).integers(0, 256, (8, 6), np.uint8)
_ALPHA = np.random.default_rng(5).integers(0, 256, (8, 6), np.uint8)
_DEEP = (_GREY.astype(np.uint16) << 8) + 77


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


def _pgm(values: Array, largest: int) -> bytes:
    height, width = values.shape
    return b"P5\n%d %d\n%d\n" % (width, height, largest) + values.astype(">u2").tobytes()


def _three(grey: Array) -> Array:
    return np.repeat(np.asarray(grey)[..., None], 3, axis=2)


def _on_white(colour: Array, alpha: Array) -> Array:
    share = np.asarray(alpha)[..., None] / 255
    return colour * share + 255 * (1 - share)


def _with_alpha(colour: Array, alpha: Array) -> Array:
    return np.dstack([colour, alpha])


def _jpeg(array: Array, mode: str) -> bytes:
    return pillow(Image.fromarray(array, mode), "JPEG", quality=100, subsampling=0)


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
    "RGB, PNG": (pillow(_RGB, "PNG"), _RGB, 0),
    "RGB, BMP": (pillow(_RGB, "BMP"), _RGB, 0),
    "RGB, PPM": (pillow(_RGB, "PPM"), _RGB, 0),
    "RGB, TIFF": (tiff(_RGB, "rgb"), _RGB, 0),
    "RGB, WebP": (pillow(_RGB, "WEBP", lossless=True), _RGB, 0),
    "RGB of 16 bits, PNG": (png(_RGB.astype(np.uint16) * 257, 16, 2), _RGB, 0),
    "RGB of 16 bits, TIFF": (tiff(_RGB.astype(np.uint16) * 257, "rgb"), _RGB, 0),
    "RGB with a channel that means nothing": (
        tiff(_with_alpha(_RGB, _ALPHA), "rgb", extrasamples=["unspecified"]),
        _RGB,
        0,
    ),
    "grey": (pillow(_GREY, "PNG"), _three(_GREY), 0),
    "grey of 2 bits": (png(_GREY // 64, 2, 0), _three(_GREY // 64 * 85), 0),
    "grey of 4 bits": (png(_GREY // 16, 4, 0), _three(_GREY // 16 * 17), 0),
    "1 bit": (png(_GREY // 128, 1, 0), _three(_GREY // 128 * 255), 0),
    "grey of 8 bits, 0 is white": (tiff(_GREY, "miniswhite"), _three(255 - _GREY), 0),
    "grey of 16 bits, PNG": (pillow(_DEEP, "PNG"), _three(_GREY), 0),
    "grey of 16 bits, PGM": (_pgm(_DEEP, 65535), _three(_GREY), 0),
    "grey of 12 bits, PGM": (_pgm(_DEEP >> 4, 4095), _three(_GREY), 0),
    "grey of 16 bits, TIFF": (tiff(_DEEP), _three(_GREY), 0),
    "grey of 16 bits, big-endian TIFF": (tiff(_DEEP, byteorder=">"), _three(_GREY), 0),
    "grey of 16 bits, 0 is white": (tiff(_DEEP, "miniswhite"), _three(255 - _GREY), 0),
    "grey of 12 bits": (_twelve_bits(_DEEP >> 4), _three(_GREY), 0),
    "floats from 0 to 1": (tiff((_GREY / 255).astype(np.float32)), _three(_GREY), 0),
    "floats, 0 is white": (
        tiff((_GREY / 255).astype(np.float32), "miniswhite"),
        _three(255 - _GREY),
        0,
    ),
    "floats, PFM": (
        pillow(Image.fromarray((_GREY / 255).astype(np.float32)), "PPM"),
        _three(_GREY),
        0,
    ),
    "palette": (pillow(_PALETTE, "PNG"), _COLOURS, 0),
    "palette, GIF": (pillow(_PALETTE, "GIF"), _COLOURS, 0),
    "palette, BMP": (pillow(_PALETTE, "BMP"), _COLOURS, 0),
    "palette with alpha": (
        pillow(_PALETTE, "PNG", transparency=bytes([0, 255, 128, 255])),
        _on_white(_COLOURS, _SEE_THROUGH),
        1,
    ),
    "palette with one transparent entry, GIF": (
        pillow(_PALETTE, "GIF", transparency=2),
        _on_white(_COLOURS, np.where(_GREY // 64 == 2, 0, 255)),
        0,
    ),
    "palette and alpha, TIFF": (pillow(_PALETTE_ALPHA, "TIFF"), _on_white(_COLOURS, _ALPHA), 1),
    "RGB and alpha, PNG": (
        pillow(_with_alpha(_RGB, _ALPHA), "PNG"),
        _on_white(_RGB, _ALPHA),
        1,
    ),
    "RGB and alpha, WebP": (
        pillow(_with_alpha(_RGB, _ALPHA), "WEBP", lossless=True, exact=True),
        _on_white(_RGB, _ALPHA),
        1,
    ),
    "RGB and alpha of 16 bits": (
        png(_with_alpha(_RGB, _ALPHA).astype(np.uint16) * 257, 16, 6),
        _on_white(_RGB, _ALPHA),
        1,
    ),
    "RGB and alpha, TIFF": (
        tiff(_with_alpha(_RGB, _ALPHA), "rgb", extrasamples=["unassalpha"]),
        _on_white(_RGB, _ALPHA),
        1,
    ),
    # The file has colour times alpha; Pillow divides, in 8 bits.
    "RGB times alpha, TIFF": (
        tiff(
            _with_alpha(_RGB // 4 * 3, np.full_like(_ALPHA, 192)),
            "rgb",
            extrasamples=["assocalpha"],
        ),
        np.minimum(_RGB // 4 * 3.0 + 63, 255),
        2,
    ),
    "grey and alpha": (
        pillow(np.dstack([_GREY, _ALPHA]), "PNG"),
        _on_white(_three(_GREY), _ALPHA),
        1,
    ),
    "grey and alpha of 16 bits": (
        png(np.dstack([_GREY, _ALPHA]).astype(np.uint16) * 257, 16, 4),
        _on_white(_three(_GREY), _ALPHA),
        1,
    ),
    "inks": (
        tiff(_INK, "separated"),
        (255.0 - _INK[..., :3]) * (255.0 - _INK[..., 3:]) / 255,
        1.5,
    ),
    "inks of 16 bits": (
        tiff(_INK.astype(np.uint16) * 257, "separated"),
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
    "grey JPEG": (pillow(_SMOOTH[..., 0], "JPEG", quality=100), _three(_SMOOTH[..., 0]), 6),
    "Lab": (tiff(_LAB_FILE, "cielab"), _PALE, 14),
    "a phone's two pictures": (
        pillow(
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
    return png(samples, depth, colour, chunk(b"tRNS", struct.pack(f">{len(values)}H", *values)))


def _without(shown: Array, hidden: Array) -> Array:
    return np.where(hidden[..., None], 255, shown)


# Pillow 10 refuses these.
if (b"II", 1, (1,), 1, (8, 8), (1,)) in TiffImagePlugin.OPEN_INFO:
    SHOWN["luma and chroma, TIFF"] = (
        tiff(np.asarray(Image.fromarray(_SMOOTH).convert("YCbCr")), "ycbcr"),
        _SMOOTH,
        6,
    )
    SHOWN["grey times alpha, TIFF"] = (
        tiff(
            np.dstack([_GREY // 2, np.full_like(_ALPHA, 128)]),
            extrasamples=["assocalpha"],
            planarconfig="contig",
        ),
        _three(_GREY // 2 + 127.0),
        0,
    )
for _bits in (1, 2, 4, 8, 16):
    _top = 2**_bits - 1
    _samples = _DEEP if _bits == 16 else _GREY >> (8 - _bits)
    _levels = _GREY if _bits == 16 else np.rint(_samples * (255 / _top))
    # Without black, a picture of 1 bit would show nothing.
    _key = 1 if _bits == 1 else int(_samples[2, 3])
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


def test_a_colour_profile_is_not_applied(tmp_path: Path) -> None:
    """Trainers, torchmetrics and clean-fid leave it out too, so that numbers stay comparable."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    (tmp_path / "some").write_bytes(pillow(_RGB, "PNG", icc_profile=profile))
    np.testing.assert_array_equal(pictures.read_rgb(tmp_path / "some"), _RGB)
    assert pictures.require(tmp_path / "some") == set()


def _moving(form: str) -> bytes:
    frames = [Image.fromarray(one) for one in (_SMOOTH, 255 - _SMOOTH)]
    return pillow(frames[0], form, save_all=True, append_images=frames[1:], lossless=True)


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_or_page_is_read(tmp_path: Path, form: str) -> None:
    (tmp_path / "some").write_bytes(_moving(form))
    off = 60 if form == "GIF" else 0.0  # a palette for 4,096 colours
    np.testing.assert_allclose(pictures.read_rgb(tmp_path / "some"), _SMOOTH, rtol=0, atol=off)
    assert pictures.require(tmp_path / "some") == {Treatment.FIRST}


UNKNOWN = {
    "32 bits": (tiff(_DEEP.astype(np.int32)), "integers of 32 bits or with a sign"),
    "32 bits without a sign": (tiff(_DEEP.astype(np.uint32)), "integers of 32 bits or with a"),
    "16 bits with a sign": (tiff(_DEEP.astype(np.int16)), "integers of 32 bits or with a sign"),
    "floats up to 255": (
        tiff(np.array([[0, 255], [3, 4]], np.float32)),
        r"floating-point values are from 0 to 255, and 0 \(black\) to 1",
    ),
    "floats below 0": (tiff(np.array([[-1, 1], [0, 0]], np.float32)), "are from -1 to 1"),
    "no number": (tiff(np.array([[np.nan, 1], [0, 0]], np.float32)), "are from nan to nan"),
    "infinity": (tiff(np.array([[np.inf, 1], [0, 0]], np.float32)), "are from 0 to inf"),
    "floats of 64 bits": (tiff(np.eye(4)), "a TIFF that Pillow does not read; save it with 8"),
    "floats in colour": (
        tiff(np.ones((4, 4, 3), np.float32), "rgb"),
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


# Rows of docs/data.md, and tests of them: above, or (in another file) by name.
DOCUMENTED = {
    "orientation in EXIF or XMP data": ["test_orientation.test_a_picture_is_turned_upright"],
    "alpha channel, transparent colour or palette entry": [
        "RGB and alpha, PNG",
        "palette with alpha",
        "grey of 8 bits without one level",
    ],
    "grey of 12 or 16 bits": ["grey of 12 bits", "grey of 16 bits, PNG"],
    "grey in floating point": ["floats from 0 to 1", "floats up to 255"],
    "integers of 32 bits or with a sign; floating point in colour or of 64 bits": [
        "32 bits",
        "16 bits with a sign",
        "floats in colour",
        "floats of 64 bits",
    ],
    "palette, fewer than 8 bits, CMYK, YCbCr, Lab": [
        "palette",
        "grey of 2 bits",
        "inks",
        "JPEG",
        "Lab",
    ],
    "several frames or pages": ["test_conversion.test_the_first_frame_or_page_is_read"],
    "colour profile": ["test_conversion.test_a_colour_profile_is_not_applied"],
    "one colour": ["test_pictures.test_a_picture_that_shows_nothing_is_refused"],
    "cut off or damaged": [
        "test_pictures.test_a_picture_that_is_cut_off_is_refused_whatever_other_libraries_set"
    ],
}


def test_each_conversion_that_is_documented_is_tested() -> None:
    text = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    table = text.partition("| picture | conversion |\n|---|---|\n")[2].partition("\n\n")[0]
    assert [line.split(" | ")[0].removeprefix("| ") for line in table.split("\n")] == list(
        DOCUMENTED
    )
    for tests in DOCUMENTED.values():
        for name in tests:
            file, dot, function = name.partition(".test_")
            if dot:
                source = Path(__file__).with_name(f"{file}.py").read_text(encoding="utf-8")
                assert f"def test_{function}(" in source
            else:
                assert name in SHOWN or name in UNKNOWN
