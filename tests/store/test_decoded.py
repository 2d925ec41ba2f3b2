"""Pictures are decoded one at a time."""

from functools import partial

import numpy as np

from spqr_tests.store.decoded import Decoded
from spqr_tests.store.images import Pixels


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
