"""Places in a table of models: two that are not told apart by more than chance are not ranked."""

from collections.abc import Hashable, Mapping
from typing import TypeVar

from spqr_tests.verdict.estimate import Estimate, difference

Key = TypeVar("Key", bound=Hashable)


def apart(scores: Mapping[Key, Estimate]) -> frozenset[tuple[Key, Key]]:
    """The pairs, the higher score first, that differ by more than chance.

    The interval of such a difference does not contain 0. Scores of one set of prompts are taken as
    if they were independent, which errs to the careful side.
    """
    return frozenset(
        (better, worse)
        for better, one in scores.items()
        for worse, other in scores.items()
        if difference(one, other).low > 0
    )


def places(scores: Mapping[Key, Estimate]) -> dict[Key, tuple[int, int]]:
    """The first and the last place that each may have, from 1: ties are not broken.

    >>> scores = {"a": (0.9, 0.8, 0.95), "b": (0.85, 0.7, 0.9), "c": (0.2, 0.1, 0.3)}
    >>> places({name: Estimate.of(*bounds) for name, bounds in scores.items()})
    {'a': (1, 2), 'b': (1, 2), 'c': (3, 3)}
    """
    pairs, count = apart(scores), len(scores)
    return {
        key: (
            1 + sum((other, key) in pairs for other in scores),
            count - sum((key, other) in pairs for other in scores),
        )
        for key in scores
    }


def spelt(place: tuple[int, int], between: str = " to ") -> str:
    """A place for people to read.

    >>> spelt((6, 6)), spelt((1, 5))
    ('6', '1 to 5')
    """
    first, last = place
    return str(first) if first == last else f"{first}{between}{last}"
