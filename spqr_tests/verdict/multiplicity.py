"""Several claims at once: how sure each fail of a family must be, so that a sound checkpoint seldom fails by any of them."""

from collections.abc import Callable, Mapping


def holm(fails: Mapping[str, Callable[[float], bool]], confidence: float) -> dict[str, float]:
    """The two-sided confidence of the interval by which each claim of a family may fail, by its name (Holm, 1979).

    `fails[name](c)` says whether the claim fails by its interval of confidence `c`; the intervals
    must be nested, so that what fails by a wide one fails by a narrow one. Of m claims the first
    may fail at 1 - (1 - confidence)/m; with k failed, the rest at 1 - (1 - confidence)/(m - k).
    Then at most a share (1 - confidence)/2 of runs, as with a single claim, fails any claim that is
    true, however the claims depend on one another.

    >>> at = {"sure": 0.999, "less so": 0.98, "open": 0.9}
    >>> {name: round(c, 4) for name, c in holm({name: lambda c, most=most: c <= most for name, most in at.items()}, 0.95).items()}
    {'sure': 0.9833, 'less so': 0.975, 'open': 0.95}
    """
    decided: dict[str, float] = {}
    while left := [name for name in fails if name not in decided]:
        strict = 1 - (1 - confidence) / len(left)
        fallen = [name for name in left if fails[name](strict)]
        decided |= dict.fromkeys(fallen or left, strict)
    return decided
