"""Pictures of which one is decoded at a time.

A batch is a number of pictures, and a user's may have a hundred pixels or 89 million each.
"""

from collections.abc import Callable, Sequence
from typing import overload

from spqr_tests.store.images import Pixels


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
