"""Several claims at once: how sure each fail of a family must be.

A sound checkpoint should seldom fail any of them.
"""

from collections.abc import Callable, Mapping


def holm(fails: Mapping[str, Callable[[float], bool]], confidence: float) -> dict[str, float]:
    """The two-sided confidence of the interval that decides each claim, by name (Holm, 1979).

    `fails[name](c)` says whether the claim fails by its interval of confidence `c`. The intervals
    must be nested, so that a claim that fails by a wide one fails by a narrow one. Of m claims the
    first may fail at 1 - (1 - confidence)/m; once k have failed, the others at
    1 - (1 - confidence)/(m - k). As with a single claim, at most a share (1 - confidence)/2 of runs
    then fails any claim that is true, however the claims depend on one another.

    >>> most = {"sure": 0.999, "less so": 0.98, "open": 0.9}
    >>> fails = {name: most[name].__ge__ for name in most}
    >>> {name: round(c, 4) for name, c in holm(fails, 0.95).items()}
    {'sure': 0.9833, 'less so': 0.975, 'open': 0.95}
    """
    decided: dict[str, float] = {}
    while left := [name for name in fails if name not in decided]:
        strict = 1 - (1 - confidence) / len(left)
        fallen = [name for name in left if fails[name](strict)]
        decided |= dict.fromkeys(fallen or left, strict)
    return decided
