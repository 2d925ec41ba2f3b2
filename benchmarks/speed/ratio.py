"""A ratio of two times, taken in turns so that a machine's good and bad minutes fall on both."""

import time
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict


class Ratio(BaseModel):
    """How long ours and the other way take; larger is better."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ratio: float
    """The other way's time over ours."""
    ours: float
    theirs: float
    unit: str
    """Of both, such as 'seconds an image'."""
    n: int
    """How many of what the unit names were timed at once, by the shorter of the two."""
    what: str
    """What is compared with what."""

    @classmethod
    def of(cls, ours: float, theirs: float, unit: str, n: int, what: str) -> "Ratio":
        """From two times in the same unit."""
        return cls(
            ratio=round(theirs / ours, 3), ours=ours, theirs=theirs, unit=unit, n=n, what=what
        )


def in_turns(
    ours: Callable[[], object], theirs: Callable[[], object], repeats: int
) -> tuple[float, float]:
    """The shortest of several times of each, in seconds, after one that is not counted."""
    found: tuple[list[float], list[float]] = ([], [])
    for number in range(repeats + 1):
        for work, times in zip((ours, theirs), found, strict=True):
            began = time.perf_counter()
            work()
            if number:
                times.append(time.perf_counter() - began)
    return min(found[0]), min(found[1])
