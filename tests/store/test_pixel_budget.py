"""The budget of pixels: pictures one at a time, and batches that end in time."""

from functools import partial

import numpy as np
import pytest

from spqr_tests.store.images import Pixels
from spqr_tests.store.pixel_budget import Decoded, spans


@pytest.mark.parametrize(
    ("areas", "batches"),
    [
        ([], []),
        ([1], [[1]]),
        ([1, 1, 1, 1], [[1, 1, 1], [1]]),
        ([4, 4, 4, 4], [[4, 4], [4, 4]]),
        ([4, 6, 1], [[4, 6], [1]]),
        ([100, 1, 100, 100], [[100], [1], [100], [100]]),
        ([5, 5, 5], [[5, 5], [5]]),
    ],
)
def test_a_batch_ends_at_its_count_or_its_pixels(
    areas: list[int], batches: list[list[int]]
) -> None:
    found = list(spans(areas, 3, 10))
    assert [[areas[position] for position in batch] for batch in found] == batches


def test_pictures_are_decoded_one_at_a_time() -> None:
    decoded: list[int] = []

    def read(number: int) -> Pixels:
        decoded.append(number)
        return np.full((1, 1, 3), number, dtype=np.uint8)

    pictures = Decoded([partial(read, number) for number in range(5)])
    assert (len(pictures), len(pictures[1:3]), decoded) == (5, 2, [])
    assert pictures[4][0, 0, 0] == 4
    assert [int(one[0, 0, 0]) for one in pictures[1:3]] == [1, 2]
    assert decoded == [4, 1, 2]
