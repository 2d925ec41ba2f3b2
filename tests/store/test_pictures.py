"""Users' pictures: opened strictly, refused by name, and known by what they show."""

import io
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile, UnidentifiedImageError

from spqr_tests.errors import EvidenceError
from spqr_tests.store import conversion, digest, images, pictures
from spqr_tests.store.conversion import Treatment
from spqr_tests.store.entry import DamagedError

_NOISE = np.random.default_rng(2).integers(0, 256, (40, 30, 3), np.uint8)


def _saved(path: Path, image: Image.Image, **saved: Any) -> Path:
    image.save(path, **saved)
    return path


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def _bomb(side: int) -> bytes:
    """A PNG of few bytes that claims `side` x `side` pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


# Pillow warns from 89 million pixels and raises from twice that.
@pytest.mark.parametrize("side", [10_000, 20_000])
def test_a_decompression_bomb_is_refused(tmp_path: Path, side: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(_bomb(side))
    for read in (pictures.read_rgb, pictures.require, pictures.identity):
        with pytest.raises(
            EvidenceError,
            match=r"^The picture .*bomb\.png cannot be read \(Image size .* exceeds limit",
        ):
            read(path)
    with pytest.raises(DamagedError, match="bomb"):
        images.from_png(path.read_bytes(), "generations", "ab")


def _box(kind: bytes) -> bytes:
    return b"\0\0\0\x18ftyp" + kind + b"\0\0\0\0mif1miaf"


FOREIGN = {
    "nothing": (b"", "it is empty; fetch it again"),
    "git-lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs p"),
    "HEIC": (_box(b"heic"), "it is HEIC; convert it to PNG or JPEG"),
    "HEIF": (_box(b"mif1"), "it is HEIC; convert it to PNG or JPEG"),
    "AVIF": (_box(b"avif"), "it is AVIF; convert it to PNG or JPEG"),
    "JPEG XL": (b"\xff\x0a\xfa\x1f", "it is JPEG XL; convert it to PNG or JPEG"),
    "JPEG XL, boxed": (b"\0\0\0\x0cJXL \r\n\x87\n", "it is JPEG XL; convert it to PNG or JPEG"),
    "JPEG 2000": (b"\0\0\0\x0cjP  \r\n\x87\n", "it is JPEG 2000; convert it to PNG or JPEG"),
    "SVG": (b"\xef\xbb\xbf<svg xmlns='http://www.w3.org/2000/svg'/>", "it is SVG; convert it"),
    "XML": (b"<?xml version='1.0'?><svg/>", "it is SVG; convert it to PNG or JPEG"),
    "a web page": (b"\n<!DOCTYPE html><html>", "it is a web page; download the picture again"),
    "PDF": (b"%PDF-1.7\n", "it is PostScript or PDF; convert it to PNG or JPEG"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "it is PostScript or PDF; convert it to PNG"),
    "Photoshop": (b"8BPS\0\1", "it is a Photoshop document; export it as PNG or JPEG"),
    "text": (b"no picture", "it is none of BMP, GIF, JPEG, PNG, PPM, TIFF and WEBP; convert it to"),
    "the start of a PNG": (b"\x89PNG\r\n\x1a\n", "damaged or cut off; fetch it again"),
    "the start of a JPEG": (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "cannot be read .Truncated File Read"),
    "the start of a TIFF": (b"II*\0", "it is damaged, or a TIFF that Pillow does not read"),
}


@pytest.mark.parametrize(("data", "sentence"), FOREIGN.values(), ids=FOREIGN)
def test_a_file_that_is_not_read_is_refused_with_what_to_do(
    tmp_path: Path, data: bytes, sentence: str
) -> None:
    path = tmp_path / "some.png"
    path.write_bytes(data)
    for read in (pictures.read_rgb, pictures.require, pictures.identity):
        with pytest.raises(EvidenceError, match=rf"^The picture .*some\.png .*{sentence}") as found:
            read(path)
        assert "\n" not in str(found.value)
        assert "Error" not in str(found.value)


def test_what_is_missing_or_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match=r"^The picture .*gone\.png cannot be read \(No such"):
        pictures.read_rgb(tmp_path / "gone.png")
    with pytest.raises(EvidenceError, match=r"^The picture .* is a folder; expected a file"):
        pictures.read_rgb(tmp_path)


FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("lenient", [False, True])
def test_a_picture_that_is_cut_off_is_refused_whatever_other_libraries_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, *, lenient: bool
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    path = _saved(tmp_path / "some", Image.fromarray(_NOISE), format=form)
    whole = path.read_bytes()
    pictures.read_rgb(path)
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(EvidenceError, match=r"^The picture .*some cannot be read"):
        pictures.read_rgb(path)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is lenient


@pytest.mark.parametrize("form", FORMATS)
def test_a_damaged_picture_gives_pixels_or_a_sentence(tmp_path: Path, form: str) -> None:
    rng = np.random.default_rng(8)
    path = _saved(tmp_path / "some", Image.fromarray(_NOISE[:9, :9]), format=form)
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    for _ in range(400):
        damaged = whole.copy()
        # Headers are where most goes wrong.
        end = 64 if rng.random() < 0.7 else len(whole)
        places = rng.integers(0, min(end, len(whole)), rng.integers(1, 4))
        damaged[places] = rng.integers(0, 256, len(places))
        path.write_bytes(damaged.tobytes())
        for read in (pictures.read_rgb, pictures.require):
            try:
                read(path)
            except EvidenceError as error:
                assert str(error).startswith("The picture ")  # noqa: PT017


# Found by fuzzing: a second frame that ends in its header, and a chunk without what it must hold.
CUT_FRAME = (
    b"GIF89a\x02\0\x01\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x02\0\x01\0\0\x02\x02\x44\n\0,\0"
)
CUT_CHUNKS = {b"iCCP": b"icc\0", b"sRGB": b"", b"pHYs": b"\0", b"zTXt": b"a\0", b"gAMA": b"\0"}


def test_a_gif_with_a_frame_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    (tmp_path / "some.gif").write_bytes(CUT_FRAME)
    for read in (pictures.require, pictures.identity):
        with pytest.raises(EvidenceError, match=r"^The picture .*some\.gif cannot be read"):
            read(tmp_path / "some.gif")


@pytest.mark.parametrize("place", [33, -12], ids=["before the pixels", "after them"])
@pytest.mark.parametrize("kind", CUT_CHUNKS)
def test_a_png_with_a_chunk_that_is_cut_short_gives_pixels_or_a_sentence(
    tmp_path: Path, kind: bytes, place: int
) -> None:
    path = _saved(tmp_path / "some.png", Image.fromarray(_NOISE))
    whole = path.read_bytes()
    content = CUT_CHUNKS[kind]
    check = zlib.crc32(kind + content)
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
    path.write_bytes(whole[:place] + chunk + whole[place:])
    for read in (pictures.read_rgb, pictures.require, pictures.identity):
        try:
            read(path)
        except EvidenceError as error:
            assert str(error).startswith("The picture ")  # noqa: PT017


def test_warnings_about_metadata_do_not_break_a_strict_user(tmp_path: Path) -> None:
    path = _saved(
        tmp_path / "some.jpg", Image.fromarray(_NOISE), exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\1\1"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pictures.read_rgb(path)
        pictures.require(path)


BLANK: dict[str, Callable[[], Image.Image]] = {
    "grey": lambda: Image.new("RGB", (64, 64), (128, 128, 128)),
    "nearly one colour": lambda: Image.fromarray(_NOISE // 128),
    "all transparent": lambda: Image.fromarray(
        np.dstack([_NOISE // 64, np.zeros_like(_NOISE[..., 0])])
    ),
    "white on transparent ground": lambda: Image.fromarray(
        np.dstack([np.full_like(_NOISE, 255), _NOISE[..., 0]])
    ),
    "one pixel": lambda: Image.new("RGB", (1, 1)),
    "deep, but in the lower bits": lambda: Image.fromarray(_NOISE[..., 0].astype(np.uint16)),
}


@pytest.mark.parametrize("draw", BLANK.values(), ids=BLANK)
def test_a_picture_that_shows_nothing_is_refused(
    tmp_path: Path, draw: Callable[[], Image.Image]
) -> None:
    path = _saved(tmp_path / "some.png", draw())
    for read in (pictures.read_rgb, pictures.require):
        with pytest.raises(
            EvidenceError, match=r"^The picture .*some\.png shows nothing: .* Take it out of its"
        ):
            read(path)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("side", [8, 64, 512, 2000])
def test_one_colour_is_found_before_anything_starts(tmp_path: Path, form: str, side: int) -> None:
    path = _saved(tmp_path / "some", Image.new("RGB", (side, side), (200, 30, 90)), format=form)
    with pytest.raises(EvidenceError, match="shows nothing"):
        pictures.require(path)


def test_a_large_picture_is_not_decoded_to_learn_that_it_shows_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    paths = [
        _saved(tmp_path / name, Image.fromarray(shown), exif=_exif(6))
        for name in ("a.jpg", "a.png")
    ]

    def decoded(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(conversion, "to_rgb", decoded)
    monkeypatch.setattr(ImageFile.ImageFile, "load", decoded)
    for path in paths:
        assert pictures.require(path) == {Treatment.UPRIGHT}


def test_plain_pictures_are_known_by_their_bytes(tmp_path: Path) -> None:
    """Their evidence stays valid: nothing about them changed when conversion came."""
    drawn = Image.fromarray(_NOISE)
    for number, (image, form) in enumerate(
        [
            (drawn, "PNG"),
            (drawn, "JPEG"),
            (drawn, "TIFF"),
            (drawn, "WEBP"),
            (drawn.convert("L"), "PNG"),
            (drawn.convert("1"), "PNG"),
            (drawn.convert("P"), "GIF"),
            (drawn.convert("CMYK"), "JPEG"),
        ]
    ):
        path = _saved(tmp_path / str(number), image, format=form)
        assert pictures.identity(path) == digest.of_file(path)


def test_pictures_that_are_converted_are_known_by_their_bytes_and_the_conversion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = Image.fromarray(_NOISE)
    paths = [
        _saved(tmp_path / "turned.jpg", drawn, exif=_exif(8)),
        _saved(tmp_path / "alpha.png", drawn.convert("RGBA")),
        _saved(tmp_path / "deep.png", Image.fromarray(_NOISE[..., 0].astype(np.uint16) << 8)),
        _saved(tmp_path / "float.tif", Image.fromarray((_NOISE[..., 0] / 255).astype(np.float32))),
    ]
    first = [pictures.identity(path) for path in paths]
    assert first == [digest.of_json([digest.of_file(path), conversion.REVISION]) for path in paths]
    monkeypatch.setattr(conversion, "REVISION", conversion.REVISION + 1)
    assert not set(first) & {pictures.identity(path) for path in paths}


def test_the_format_of_bytes_is_checked_without_a_file() -> None:
    buffer = io.BytesIO()
    Image.fromarray(_NOISE).save(buffer, "GIF")
    pictures.require_format(buffer.getvalue(), ("GIF",))
    with pytest.raises(EvidenceError, match=r"^The picture cannot be read \(.*"):
        pictures.require_format(buffer.getvalue(), ("PNG",))


def test_what_pillow_does_not_know_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "some").write_bytes(b"?")
    with pytest.raises(EvidenceError) as found:
        pictures.read_rgb(tmp_path / "some")
    assert isinstance(found.value.__cause__, UnidentifiedImageError)


def test_a_large_picture_in_a_few_bytes_is_refused_undecoded(tmp_path: Path) -> None:
    drawn = Image.new("L", (6000, 6000))
    drawn.paste(255, (0, 0, 99, 99))
    drawn.save(tmp_path / "a.webp", lossless=True)
    with pytest.raises(EvidenceError, match=r"36000000 pixels in \d+ bytes, as no photograph has"):
        pictures.read_rgb(tmp_path / "a.webp")


def test_chunks_in_no_order_are_refused(tmp_path: Path) -> None:
    drawn = Image.effect_noise((9, 9), 50).convert("P")
    drawn.save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    begin = content.index(b"PLTE") - 4
    (length,) = struct.unpack(">I", content[begin : begin + 4])
    # Without its palette.
    (tmp_path / "a.png").write_bytes(content[:begin] + content[begin + 12 + length :])
    with pytest.raises(EvidenceError, match="cannot be read"):
        pictures.read_rgb(tmp_path / "a.png")
