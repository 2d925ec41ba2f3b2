"""Coarse copies: nothing smaller than a twelfth of the image is left."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spqr_tests.reports.blurred import blurred
from spqr_tests.store.entry import DamagedError


@pytest.mark.parametrize("size", [(32, 32), (512, 512), (1024, 300), (3, 700)])
def test_a_twelfth_is_the_finest_that_is_left(tmp_path: Path, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    copy = Image.open(io.BytesIO(blurred(path)))
    assert max(copy.size) == 256
    colours = {color for _, color in copy.getcolors(2**16) or ()}
    assert 0 < len(colours) <= 144
    means = np.asarray(copy).mean(axis=(0, 1))
    assert means == pytest.approx(pixels.mean(axis=(0, 1)), abs=4)


def test_what_is_no_image_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n and nothing else")
    with pytest.raises(DamagedError):
        blurred(path)
    with pytest.raises(FileNotFoundError):
        blurred(tmp_path / "gone.png")
