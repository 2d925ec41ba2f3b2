"""Orientation: upright, wherever a format keeps the tag."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spqr_tests.store import pictures
from spqr_tests.store.conversion import Treatment
from tests.store.written import Array, chunk, pillow, png

_SMOOTH = np.stack(np.meshgrid(np.arange(64) * 4, np.arange(64) * 4), -1).astype(np.uint8)
_SMOOTH = np.dstack([_SMOOTH, 255 - _SMOOTH[..., 0]])[:40]
_GREY = _SMOOTH[..., 1]

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
    return chunk(b"iTXt", keyword + b"\0\0\0\0\0" + text)


def _profile(orientation: int) -> bytes:
    """What ImageMagick writes of EXIF data: its length and its hexadecimal digits."""
    data = _exif(orientation)
    return chunk(
        b"tEXt", b"Raw profile type exif\0\nexif\n%8d\n%s\n" % (len(data), data.hex().encode())
    )


TURNED: Mapping[str, Callable[[Array, int], bytes]] = {
    "JPEG": lambda stored, tag: pillow(stored, "JPEG", exif=_exif(tag), quality=100, subsampling=0),
    "WebP": lambda stored, tag: pillow(stored, "WEBP", exif=_exif(tag), lossless=True),
    "PNG": lambda stored, tag: pillow(stored, "PNG", exif=_exif(tag)),
    "PNG, EXIF after its pixels": lambda stored, tag: png(
        stored, 8, 2, after=chunk(b"eXIf", _exif(tag).removeprefix(b"Exif\0\0"))
    ),
    "PNG, ImageMagick's text": lambda stored, tag: png(stored, 8, 2, _profile(tag)),
    "PNG, ImageMagick's text at the end": lambda stored, tag: png(
        stored, 8, 2, after=_profile(tag)
    ),
    "PNG, XMP": lambda stored, tag: png(stored, 8, 2, _text(b"XML:com.adobe.xmp", _xmp(tag))),
    "TIFF": lambda stored, tag: pillow(stored, "TIFF", tiffinfo={274: tag}),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("write", TURNED.values(), ids=TURNED)
def test_a_picture_is_turned_upright(
    tmp_path: Path, write: Callable[[Array, int], bytes], orientation: int
) -> None:
    upright = _SMOOTH
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
        (_GREY.astype(np.uint16) << 8, np.repeat(_GREY[..., None], 3, axis=2)),
        (np.dstack([_SMOOTH, _GREY]), 255 - (255.0 - _SMOOTH) * (_GREY[..., None] / 255)),
    ):
        turned = np.ascontiguousarray(STORED[orientation](stored))
        path.write_bytes(pillow(turned, "PNG", exif=_exif(orientation)))
        np.testing.assert_allclose(pictures.read_rgb(path), shown, rtol=0, atol=1)


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\xff\xff", _exif(99)])
def test_exif_data_that_says_nothing_turns_nothing(tmp_path: Path, exif: bytes) -> None:
    (tmp_path / "some").write_bytes(pillow(_SMOOTH, "JPEG", exif=exif, quality=100, subsampling=0))
    np.testing.assert_allclose(pictures.read_rgb(tmp_path / "some"), _SMOOTH, rtol=0, atol=6)
    assert pictures.require(tmp_path / "some") == set()
