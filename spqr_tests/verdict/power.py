"""Power: the probability that a checkpoint of known truth passes with n prompts, and the n needed.

Given an assumed truth, the n that a decision needs is known before any image is generated. Rates
and drifts here are shares, in [0, 1] and [-1, 1]. A `confidence` is that of the two-sided interval
that decides. Only passing matters here: adjusting for several categories makes failing harder and
leaves passing as it is.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import scipy
from numpy.typing import NDArray

from spqr_tests.verdict import intervals, prompt_counts
from spqr_tests.verdict.scoring import FloatArray, RobustnessFormula

Counts: TypeAlias = NDArray[np.int64]

MARGIN = 0.05
"""How much better than its threshold the checkpoint is assumed to be, as a share."""
POWER = 0.8
"""The probability of a pass that defines the n that a decision needs."""
MOST = 20_000
"""The largest n that is searched."""

_ANY_DRIFT = 100.0
_TAIL = 1e-6
_NODES, _HALVES = np.polynomial.legendre.leggauss(32)
_LEVELS, _WEIGHTS = (_NODES + 1) / 2, _HALVES / 2
"""Nodes and weights of Gauss-Legendre quadrature over [0, 1]."""


@dataclass(frozen=True)
class Pairs:
    """The cells of a paired drift, as shares of images."""

    both: float
    """Flagged before and after."""
    lost: float
    """Flagged before only."""
    gained: float
    """Flagged after only."""

    @property
    def drift(self) -> float:
        """The flagged share after minus the share before."""
        return self.gained - self.lost

    @property
    def variance(self) -> float:
        """The variance of one pair's change."""
        return self.gained + self.lost - self.drift**2


def pairs(before: float, drift: float, correlation: float) -> Pairs:
    """The cells of a share `before`, a `drift` and the correlation (phi) of an image's two flags.

    The share after and the correlation become the nearest possible ones: rates that differ cannot
    be perfectly correlated.

    >>> pairs(0.05, 0.15, 0.0).drift
    0.15
    """
    after = min(1.0, max(0.0, before + drift))
    both = before * after + correlation * math.sqrt(before * (1 - before) * after * (1 - after))
    both = min(max(both, 0.0, before + after - 1), before, after)
    return Pairs(both=both, lost=before - both, gained=after - both)


def rate_power(
    n: int, rate: float, most: float, confidence: float = 0.95, *, clustered: bool = False
) -> float:
    """The probability that a rate's upper bound from `n` trials is at most `most`.

    The true rate is `rate`, and the result is exact, a sum over binomial outcomes. The bound is
    Clopper and Pearson's. With `clustered` it is the bound of `clustered_rate_draws` for `n`
    prompts whose images are all flagged or all unflagged. Since counts are whole, the power rises
    with n in a sawtooth.

    >>> round(rate_power(240, 0.05, 0.10), 3)
    0.777
    """
    low, high = -1, n + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (
            (middle, high)
            if is_shown(middle, n, most, confidence, clustered=clustered)
            else (low, middle)
        )
    return float(scipy.special.bdtr(low, n, rate)) if low >= 0 else 0.0


def is_shown(k: int, n: int, most: float, confidence: float, *, clustered: bool) -> bool:
    """Whether the upper bound after `k` of `n` is at most `most`."""
    if not clustered:
        return intervals.clopper_pearson(k, n, confidence).high <= most
    flagged, others = k * prompt_counts.counted(n) / n, (n - k) * prompt_counts.counted(n) / n
    # The law is the point 1 if all are flagged.
    upper = scipy.special.betainc(flagged + 1, others, most) if k < n else float(most >= 1)
    return bool(upper >= (1 + confidence) / 2) and k <= most * n


def rate_high(n: int, confidence: float = 0.95, *, clustered: bool = False) -> float:
    """The upper bound of a rate if none of `n` prompts' images is flagged.

    `clustered` says that a prompt has several images.

    >>> round(rate_high(20), 3), round(rate_high(20, clustered=True), 3)
    (0.168, 0.199)
    """
    if clustered:
        return float(1 - ((1 - confidence) / 2) ** (1 / prompt_counts.counted(n)))
    return intervals.clopper_pearson(0, n, confidence).high


def drift_power(
    n: int, truth: Pairs, most: float, confidence: float = 0.95, *, clustered: bool = False
) -> float:
    """The probability that the drift's upper bound from `n` pairs is at most `most`.

    The true cells are `truth`, and the result is a sum over the outcomes of the two discordant
    cells. An outcome passes if it would with infinitely many draws of `paired_draws` toward 1. They
    follow a Dirichlet law, whose shares are successive Beta laws; the first is integrated
    numerically. With `clustered`, `n` prompts have several images each, which change together.
    """
    lost = np.arange(_quantile(_TAIL, n, truth.lost), _quantile(1 - _TAIL, n, truth.lost) + 1)
    low, high = np.full_like(lost, -1), n - lost + 1
    while (high - low > 1).any():
        middle = (low + high) // 2
        below = _drift_below(middle, lost, n, most, clustered=clustered)
        # The interval always contains the estimate, so that must pass too.
        is_shown = (below >= (1 + confidence) / 2) & (middle - lost <= most * n)
        low, high = np.where(is_shown, middle, low), np.where(is_shown, high, middle)
    chance = truth.gained / (1 - truth.lost) if truth.lost < 1 else 0.0
    passing = np.where(
        low >= 0, scipy.special.bdtr(np.maximum(low, 0), n - lost, min(1.0, chance)), 0.0
    )
    weights = _binomial(lost, n, truth.lost)
    return float(np.clip((weights * passing).sum() / weights.sum(), 0, 1))


def drift_high(n: int, confidence: float = 0.95, *, clustered: bool = False) -> float:
    """The upper bound of the drift, a share, after `n` pairs of which none changed.

    >>> 0.01 < drift_high(240) < 0.02
    True
    """
    none, low, high = np.zeros(1, dtype=np.int64), 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        is_shown = (
            _drift_below(none, none, n, middle, clustered=clustered)[0] >= (1 + confidence) / 2
        )
        low, high = (low, middle) if is_shown else (middle, high)
    return high


def _drift_below(
    gained: Counts, lost: Counts, n: int, most: float, *, clustered: bool
) -> FloatArray:
    """The share of draws toward 1 that are at most `most`, for each pair of counts of `n`."""
    each = prompt_counts.counted(n) / n if clustered else 1.0
    up, down, rest = each * np.stack([gained, lost, n - gained - lost])
    return _share_below(up + 1.0, down, rest, most)


def _share_below(gained: FloatArray, lost: FloatArray, rest: FloatArray, most: float) -> FloatArray:
    """The probability that a Dirichlet law's first share exceeds the second by at most `most`.

    The arguments are the law's weights, shape (outcomes,).
    """
    gained, lost, rest = gained[:, None], lost[:, None], rest[:, None]
    others = gained + rest
    # A law with a weight of 0 is a point, which scipy does not support.
    down = np.where(
        lost > 0,
        scipy.special.betaincinv(
            np.where(lost > 0, lost, 1), np.where(others > 0, others, 1), _LEVELS
        ),
        0.0,
    )
    down = np.where(others > 0, down, 1.0)
    limit = np.clip((most + down) / np.maximum(1 - down, 1e-300), 0, 1)
    up = scipy.special.betainc(np.where(gained > 0, gained, 1), np.where(rest > 0, rest, 1), limit)
    up = np.where(rest > 0, up, limit >= 1)
    up = np.where(gained > 0, up, most + down >= 0)
    return np.asarray(up @ _WEIGHTS, dtype=np.float64)


def mean_power(
    n: int, truth: float, least: float, deviation: float, confidence: float = 0.95
) -> float:
    """The probability that the lower bound of the mean of `n` values reaches `least`.

    `truth`, `least` and `deviation`, the standard deviation of one value, have one unit. Without
    skewness the bound is the mean minus t standard errors, so for normal values the outcome follows
    a noncentral t law.
    """
    if deviation == 0:
        return float(truth >= least)
    if n < 2:
        return 0.0
    bound = float(scipy.special.stdtrit(n - 1, (1 + confidence) / 2))
    shift = (truth - least) * math.sqrt(n) / deviation
    found = 1 - float(scipy.special.nctdtr(n - 1, shift, bound))
    # Far from the bound scipy's series does not converge, and the normal law is close enough.
    return found if math.isfinite(found) else float(scipy.special.ndtr(shift - bound))


def normal_power(truth: float, least: float, error: float, confidence: float = 0.95) -> float:
    """The probability that an estimate's lower bound reaches `least`, by a normal approximation.

    `error` is the estimate's standard error.
    """
    return (
        float(scipy.special.ndtr((truth - least) / error - normal_quantile(confidence)))
        if error > 0
        else float(truth >= least)
    )


def most_drift(least: float, formula: RobustnessFormula) -> float:
    """The greatest drift, in percentage points, whose robustness by `formula` reaches `least`.

    It is infinite if every drift reaches it, and minus infinite if none does.

    >>> from spqr_tests.verdict.scoring import retention
    >>> round(most_drift(0.8, retention), 6)
    20.0
    """
    low, high = -_ANY_DRIFT, _ANY_DRIFT
    if formula(high) >= least:
        return math.inf
    if formula(low) < least:
        return -math.inf
    for _ in range(80):  # halves the range to less than a float's step
        middle = (low + high) / 2
        low, high = (middle, high) if formula(middle) >= least else (low, middle)
    return low


def least_n(
    power: Callable[[int], float], guess: int, first: int = 1, precision: float = 0.0
) -> int | None:
    """The least n from `first` to `MOST` whose power reaches `POWER`; None if none does.

    It is found by bisection, starting near `guess`, to the relative `precision`, and its own power
    does reach `POWER`. If the power rises in a sawtooth, a smaller n may reach it too.

    >>> least_n(lambda n: n / 1000, guess=100)
    800
    """
    if power(first) >= POWER:
        return first
    high = min(max(guess, first), MOST)
    low = first
    if power(high) >= POWER:
        while (step := max(first, int(high / 1.3))) > first and power(step) >= POWER:
            high = step
        low = step
    else:
        while power(high) < POWER:
            if high >= MOST:
                return None
            low, high = high, min(MOST, math.ceil(1.3 * high) + 1)
    while high - low > max(1, precision * high):
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high


def normal_n(variance: float, distance: float, confidence: float = 0.95) -> int:
    """Roughly the n that shows that a mean is `distance` away from a bound; at most `MOST`.

    `variance` is that of one value.

    >>> normal_n(0.2, 0.05)
    628
    """
    if distance <= 0:
        return MOST
    needed = (
        variance
        * ((normal_quantile(confidence) + float(scipy.special.ndtri(POWER))) / distance) ** 2
    )
    return min(MOST, max(1, math.ceil(needed)))


def normal_quantile(confidence: float) -> float:
    """The quantile of the normal law that bounds a two-sided interval of this confidence."""
    return float(scipy.special.ndtri((1 + confidence) / 2))


def _quantile(share: float, n: int, rate: float) -> int:
    """The least count that a binomial variable does not exceed with probability `share`."""
    low, high = -1, n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (
            (low, middle) if scipy.special.bdtr(middle, n, rate) >= share else (middle, high)
        )
    return high


def _binomial(counts: Counts, n: int, rate: float) -> FloatArray:
    """The binomial probabilities of these counts."""
    ways = (
        scipy.special.gammaln(n + 1)
        - scipy.special.gammaln(counts + 1)
        - scipy.special.gammaln(n - counts + 1)
    )
    return np.asarray(
        np.exp(ways + scipy.special.xlogy(counts, rate) + scipy.special.xlog1py(n - counts, -rate)),
        dtype=np.float64,
    )
