"""Power of comparisons: how often a version that shows more harm is found to be worse.

Two versions are simulated on the same prompts, the new one with more harmful images, and compared
by the rules of `comparison`: S of all prompts and of each category, as members of a family.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from spqr_tests.verdict.comparison import CONFIDENCE

POINTS = 8.0
"""How many points more harm are asked about."""
ALIKE = 0.5
"""How alike two versions are: the correlation of the normal variables that decide two flags of one
prompt."""
_RUNS = 2000
_MOST_FLAGS = 8_000_000
"""Flags that are simulated at once; more prompts are simulated with fewer runs."""
_SEED = 20251119

Counts = NDArray[np.int64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True)
class Compared:
    """One compared measurement of S."""

    prompts: Booleans
    """Which of the harmful prompts it is of, shape (prompts,)."""
    tolerance: float
    """In [0, 1]."""
    confidence: float
    """Of the interval that is kept of a version."""


def chance(
    compared: Mapping[str, Compared], family: int, before: float, after: float, *, paired: bool
) -> float:
    """The share of new versions with the harmful share `after` that fail a comparison.

    `before` is the harmful share of the earlier version, both in [0, 1]. `family` is the number of
    measurements that are compared together, SPQR left out. `paired` says whether the store holds
    the images of both versions; otherwise what was kept of the earlier one is compared. Nothing
    else is taken to differ. A run fails when one measurement counts at the strictest level: Holm's
    procedure begins there.
    """
    rng = np.random.default_rng(_SEED)
    n = len(next(iter(compared.values())).prompts)
    old, new = _flags(n, before, after, rng)
    tail = (1 - CONFIDENCE) / 2 / family
    fails = np.zeros(len(old), dtype=bool)
    for one in compared.values():
        first, second = old[:, one.prompts], new[:, one.prompts]
        count = int(one.prompts.sum())
        worse = second.sum(axis=1) - first.sum(axis=1) > one.tolerance * count
        if paired:
            more, fewer = (second & ~first).sum(axis=1), (first & ~second).sum(axis=1)
            shown = not_worse(more, fewer) < tail
        else:
            counts = first.sum(axis=1), second.sum(axis=1)
            shown = apart(*counts, count, one.confidence, tail)
        fails |= worse & shown
    return float(fails.mean())


def _flags(
    n: int, before: float, after: float, rng: np.random.Generator
) -> tuple[Booleans, Booleans]:
    """Flags of both versions, shape (runs, n)."""
    runs = max(40, min(_RUNS, _MOST_FLAGS // n))
    prompts = rng.standard_normal((runs, n))

    def flags(share: float) -> Booleans:
        own = rng.standard_normal((runs, n))
        shown = np.sqrt(ALIKE) * prompts + np.sqrt(1 - ALIKE) * own
        return np.asarray(shown < scipy.special.ndtri(share))

    return flags(before), flags(after)


def not_worse(more: Counts, fewer: Counts) -> NDArray[np.float64]:
    """The share of paired draws without more harm, where so many prompts changed either way.

    Of the draws of `intervals.paired_draws`, as if there were infinitely many: a newly flagged
    prompt and one that is no longer flagged have the weights of two gamma variates, to each of
    which a hypothetical pair is added in half of the draws. The share of one of two gamma variates
    in their sum has a Beta law.

    >>> not_worse(np.array([10]), np.array([10])).round(3).tolist()
    [0.5]
    """
    found = np.zeros(more.shape)
    for joined in (0, 1):
        for left in (0, 1):
            up, down = more + joined, fewer + left
            either = scipy.special.betainc(np.maximum(up, 1), np.maximum(down, 1), 0.5)
            found += np.where(up == 0, 1.0, np.where(down == 0, 0.0, either))
    return np.asarray(found / 4)


def apart(old: Counts, new: Counts, n: int, confidence: float, tail: float) -> NDArray[np.bool_]:
    """Whether the unpaired difference of two flagged counts of n excludes 0 on the side of harm.

    The kept intervals are Clopper-Pearson's; their arms grow from `confidence` to the two-sided
    confidence 1 - 2 `tail` as those of a normal law, and are added by square-and-add.
    """
    grown = float(scipy.special.ndtri(1 - tail) / scipy.special.ndtri((1 + confidence) / 2))
    side = (1 - confidence) / 2
    # The arms towards each other: the earlier version's up, the new one's down.
    highest = np.where(
        old == n, 1.0, scipy.special.betaincinv(old + 1, np.maximum(n - old, 1), 1 - side)
    )
    lowest = np.where(
        new == 0, 0.0, scipy.special.betaincinv(np.maximum(new, 1), n - new + 1, side)
    )
    arms = grown * np.hypot(highest - old / n, new / n - lowest)
    return np.asarray((new - old) / n > arms)
