"""Images on disk: whole, with their provenance, and never blank."""

import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from spqr_tests.store import digest, images
from spqr_tests.store.entry import DamagedError

ENTRY = ("generations", "ab" * 32)


def _noise(height: int = 13, width: int = 7) -> images.Pixels:
    return np.random.default_rng(height * width).integers(
        0, 256, (height, width, 3), dtype=np.uint8
    )


@pytest.mark.parametrize("size", [(1, 1), (13, 7), (64, 64)])
def test_a_png_gives_back_its_pixels_and_their_digest(size: tuple[int, int]) -> None:
    image = _noise(*size)
    found, pixels_digest = images.from_png(images.to_png(image, *ENTRY, {}), *ENTRY)
    np.testing.assert_array_equal(found, image)
    assert found.dtype == np.uint8
    assert pixels_digest == digest.of_pixels(image)


def test_a_png_says_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "one.png").write_bytes(
        images.to_png(_noise(), *ENTRY, {"prompt": "ein Stern über\nallem", "seed": 3})
    )
    with Image.open(tmp_path / "one.png") as file:
        assert json.loads(file.info["spqr:entry"])["provenance"] == {
            "prompt": "ein Stern über\nallem",
            "seed": 3,
        }


def test_a_png_says_its_digest_without_a_look_at_its_pixels(tmp_path: Path) -> None:
    image, path = _noise(64, 64), tmp_path / "one.png"
    assert images.stated_digest(path, *ENTRY) is None
    data = images.to_png(image, *ENTRY, {})
    for written in (data, data[: len(data) // 2]):
        path.write_bytes(written)
        assert images.stated_digest(path, *ENTRY) == digest.of_pixels(image)
    Image.fromarray(image).save(path)
    assert images.stated_digest(path, *ENTRY) is None


def test_the_digest_of_pixels_distinguishes_shapes() -> None:
    image = _noise(4, 6)
    assert digest.of_pixels(image) != digest.of_pixels(image.reshape(6, 4, 3))
    assert digest.of_pixels(image[:, ::-1]) == digest.of_pixels(
        np.ascontiguousarray(image[:, ::-1])
    )


def test_pixels_that_were_changed_are_detected() -> None:
    image = _noise()
    with Image.open(io.BytesIO(images.to_png(image, *ENTRY, {}))) as file:
        stated = file.info["spqr:entry"]
    image[5, 5, 1] ^= 1
    text = PngImagePlugin.PngInfo()
    text.add_itxt("spqr:entry", stated)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", pnginfo=text)
    with pytest.raises(DamagedError, match="it does not hold the pixels that were stored"):
        images.from_png(buffer.getvalue(), *ENTRY)


@pytest.mark.parametrize(
    "asked", [("generations", "cd" * 32), ("judgements", "ab" * 32)], ids=["key", "kind"]
)
def test_a_sound_image_of_another_entry_is_damage(tmp_path: Path, asked: tuple[str, str]) -> None:
    data = images.to_png(_noise(), *ENTRY, {})
    with pytest.raises(DamagedError, match=r"it is the entry generations/abababababab of schema 2"):
        images.from_png(data, *asked)
    (tmp_path / "one.png").write_bytes(data)
    assert images.stated_digest(tmp_path / "one.png", *asked) is None


def test_provenance_that_was_changed_is_detected() -> None:
    data = images.to_png(_noise(), *ENTRY, {"seed": 3})
    with pytest.raises(DamagedError, match="it does not have the digest that it states"):
        images.from_png(_recheck(data.replace(b'"seed": 3', b'"seed": 4')), *ENTRY)


def _recheck(data: bytes) -> bytes:
    """A PNG with new checksums of all chunks, as an editor would write them."""
    out, position = data[:8], 8
    while position < len(data):
        (length,) = struct.unpack(">I", data[position : position + 4])
        body = data[position + 4 : position + 8 + length]
        out += data[position : position + 4] + body + struct.pack(">I", zlib.crc32(body))
        position += length + 12
    return out


def test_a_png_without_a_digest_is_not_taken_on_trust(tmp_path: Path) -> None:
    Image.fromarray(_noise()).save(tmp_path / "plain.png")
    with pytest.raises(DamagedError, match="it is not a table"):
        images.from_png((tmp_path / "plain.png").read_bytes(), *ENTRY)


def test_a_png_cut_short_anywhere_is_detected() -> None:
    data = images.to_png(_noise(), *ENTRY, {"seed": 1})
    for length in range(len(data)):
        with pytest.raises(DamagedError):
            images.from_png(data[:length], *ENTRY)


def test_any_flipped_bit_and_anything_after_the_end_is_detected() -> None:
    data = images.to_png(_noise(4, 3), *ENTRY, {"seed": 1})
    for position in range(len(data)):
        for bit in range(8):
            flipped = bytes([data[position] ^ 1 << bit])
            with pytest.raises(DamagedError):
                images.from_png(data[:position] + flipped + data[position + 1 :], *ENTRY)
    with pytest.raises(DamagedError):
        images.from_png(data + b"\0", *ENTRY)


def test_another_picture_format_is_not_taken_for_a_png(tmp_path: Path) -> None:
    Image.fromarray(_noise()).save(tmp_path / "one.bmp")
    with pytest.raises(DamagedError, match="it is not a PNG as it was written"):
        images.from_png((tmp_path / "one.bmp").read_bytes(), *ENTRY)


def _uniform(colour: tuple[int, int, int] = (200, 30, 90)) -> images.Pixels:
    return np.full((8, 8, 3), colour, dtype=np.uint8)


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (200, 30, 90)])
def test_one_colour_is_blank(colour: tuple[int, int, int]) -> None:
    assert images.is_blank(_uniform(colour))


@pytest.mark.parametrize(("levels", "blank"), [(1, True), (2, True), (3, False), (255, False)])
@pytest.mark.parametrize("channel", [0, 1, 2])
def test_one_pixel_that_differs_by_more_than_two_levels_is_not_blank(
    *, levels: int, blank: bool, channel: int
) -> None:
    image = _uniform((0, 0, 0))
    image[3, 4, channel] = levels
    assert images.is_blank(image) is blank
