"""The budget of pixels in flight: how many pictures are decoded at once.

A batch is a number of pictures, and a user's may have a hundred pixels or 89 million each. Whoever
reads many uses `Decoded`, which holds none of them, or batches that end where their pixels exceed
the budget.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import overload

from spqr_tests.store.images import Pixels

MOST = 64 * 2**20
"""Pixels that are decoded at once: 64 images of 1024 x 1024, about 200 MB in RGB."""


class Decoded(Sequence[Pixels]):
    """Pictures that are decoded one at a time, each when it is asked for and each time anew."""

    def __init__(self, readers: Sequence[Callable[[], Pixels]]) -> None:
        self._readers = readers

    def __len__(self) -> int:
        return len(self._readers)

    @overload
    def __getitem__(self, position: int) -> Pixels: ...

    @overload
    def __getitem__(self, position: slice) -> "Decoded": ...

    def __getitem__(self, position: int | slice) -> "Pixels | Decoded":
        if isinstance(position, slice):
            return Decoded(self._readers[position])
        return self._readers[position]()


def spans(areas: Sequence[int], count: int, most: int = MOST) -> Iterator[range]:
    """The positions of pictures of these areas, in batches of at most `count` and `most` pixels.

    A picture of more has a batch of its own.
    """
    start, pixels = 0, 0
    for position, area in enumerate(areas):
        if position > start and (position - start == count or pixels + area > most):
            yield range(start, position)
            start, pixels = position, 0
        pixels += area
    if start < len(areas):
        yield range(start, len(areas))
