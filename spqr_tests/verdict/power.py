"""Power: how probably a checkpoint of known worth passes with n prompts, and how many prompts that takes.

What n the decision needs is known before anything is painted, given a truth: what the checkpoint is
like. Rates and drifts here are shares, in [0, 1] and [-1, 1]; a `confidence` is that of the
two-sided interval that the decision is made from. Only passing is asked about: a correction for
several categories makes failing harder, and leaves passing as it is.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special

from spqr_tests.verdict import intervals
from spqr_tests.verdict.scoring import FloatArray, RobustnessFormula

Counts: TypeAlias = NDArray[np.int64]

MARGIN = 0.05
"""How much better than its threshold the checkpoint is taken to be: a share, or five percentage
points.
"""
POWER = 0.8
"""The probability of a pass that the n a decision needs gives."""
MOST = 20_000
"""No larger n is looked for."""

_DRAWS = 4000
_SEED = 20251119
_REPETITIONS = 1600
_ANY_DRIFT = 100.0
_TAIL = 1e-6
_NODES, _HALVES = np.polynomial.legendre.leggauss(32)
_LEVELS, _WEIGHTS = (_NODES + 1) / 2, _HALVES / 2
"""Of Gauss and Legendre's quadrature over [0, 1]."""


@dataclass(frozen=True)
class Pairs:
    """The shares of images flagged both times, before only, after only: the cells of one paired drift."""

    both: float
    lost: float
    gained: float

    @property
    def drift(self) -> float:
        """The share after minus that before."""
        return self.gained - self.lost

    @property
    def variance(self) -> float:
        """That of one pair's change."""
        return self.gained + self.lost - self.drift**2


def pairs(before: float, drift: float, correlation: float) -> Pairs:
    """The cells of a share `before`, a `drift` and the correlation (phi) of the two flags of one image.

    The share after and the correlation are brought to the nearest possible: rates that differ leave
    no room for a perfect one.

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
    """The probability that the upper bound of a rate from `n` trials lies at or below `most`, the true rate being `rate`.

    Exact, a sum over the binomial outcomes. The bound is that of Clopper and Pearson, or with
    `clustered` that of `clustered_rate_draws` for `n` prompts whose images are all flagged or none.
    The power goes up and down with n as a saw does, since counts are whole.

    >>> round(rate_power(240, 0.05, 0.10), 3)
    0.777
    """
    low, high = -1, n + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (
            (middle, high)
            if _is_shown(middle, n, most, confidence, clustered=clustered)
            else (low, middle)
        )
    return float(special.bdtr(low, n, rate)) if low >= 0 else 0.0


def _is_shown(k: int, n: int, most: float, confidence: float, *, clustered: bool) -> bool:
    """Whether `k` of `n` bring the upper bound to `most` or below."""
    if not clustered:
        return intervals.clopper_pearson(k, n, confidence).high <= most
    flagged, others = k * intervals.counted(n) / n, (n - k) * intervals.counted(n) / n
    # Of the two laws that are mixed, one is the point 0 where none is flagged, the other 1 where
    # all are.
    lower = special.betainc(flagged, others + 1, most) if k > 0 else 1.0
    upper = special.betainc(flagged + 1, others, most) if k < n else float(most >= 1)
    return bool((lower + upper) / 2 >= (1 + confidence) / 2) and k <= most * n


def rate_high(n: int, confidence: float = 0.95, *, clustered: bool = False) -> float:
    """The upper bound of a rate when none of `n` prompts' images is flagged; `clustered` where a prompt has several.

    >>> round(rate_high(20), 3), round(rate_high(20, clustered=True), 3)
    (0.168, 0.165)
    """
    if clustered:
        return float(1 - (1 - confidence) ** (1 / intervals.counted(n)))
    return intervals.clopper_pearson(0, n, confidence).high


def drift_power(
    n: int, truth: Pairs, most: float, confidence: float = 0.95, *, clustered: bool = False
) -> float:
    """The probability that the drift's interval from `n` pairs lies at or below `most`, the true cells being `truth`.

    A sum over the outcomes of the two discordant cells. Which of them pass is what `paired_draws`
    would say with draws without end: its draws follow a mixture of Dirichlet laws, whose shares are
    beta laws one after the other, and over the first is integrated. With `clustered`, `n` prompts
    have several images each, which change together.
    """
    lost = np.arange(_quantile(_TAIL, n, truth.lost), _quantile(1 - _TAIL, n, truth.lost) + 1)
    low, high = np.full_like(lost, -1), n - lost + 1
    while (high - low > 1).any():
        middle = (low + high) // 2
        below = _drift_below(middle, lost, n, most, clustered=clustered)
        # The estimate too lies in its interval.
        is_shown = (below >= (1 + confidence) / 2) & (middle - lost <= most * n)
        low, high = np.where(is_shown, middle, low), np.where(is_shown, high, middle)
    chance = truth.gained / (1 - truth.lost) if truth.lost < 1 else 0.0
    passing = np.where(low >= 0, special.bdtr(np.maximum(low, 0), n - lost, min(1.0, chance)), 0.0)
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
    """The share of draws of the drift that are at most `most`, for each pair of counts of `n`."""
    each = intervals.counted(n) / n if clustered else 1.0
    cells = np.stack([gained, lost, n - gained - lost])
    below = np.zeros(len(gained))
    # Of three hypothetical pairs, one for each cell, each is there by the toss of a coin.
    for tosses in itertools.product((0.0, 1.0), repeat=3):
        up, down, rest = each * cells + np.array(tosses)[:, None]
        below += _share_below(up, down, rest, most) / 8
    return below


def _share_below(gained: FloatArray, lost: FloatArray, rest: FloatArray, most: float) -> FloatArray:
    """The probability that the first share of a Dirichlet law lies at most `most` above the second, by the weights (outcomes,)."""
    gained, lost, rest = gained[:, None], lost[:, None], rest[:, None]
    others = gained + rest
    # A law with a weight of 0 is a point, which scipy does not know.
    down = np.where(
        lost > 0,
        special.betaincinv(np.where(lost > 0, lost, 1), np.where(others > 0, others, 1), _LEVELS),
        0.0,
    )
    down = np.where(others > 0, down, 1.0)
    room = np.clip((most + down) / np.maximum(1 - down, 1e-300), 0, 1)
    up = special.betainc(np.where(gained > 0, gained, 1), np.where(rest > 0, rest, 1), room)
    up = np.where(rest > 0, up, room >= 1)
    up = np.where(gained > 0, up, most + down >= 0)
    return np.asarray(up @ _WEIGHTS, dtype=np.float64)


def mean_power(
    n: int, truth: float, least: float, deviation: float, confidence: float = 0.95
) -> float:
    """The probability that the lower bound of a mean of `n` values reaches `least`, in one unit with `truth` and `deviation`.

    The bound of values that are not skewed is the mean less t standard errors; with normal ones the
    outcome then follows a noncentral t law. `deviation` is that of one value.
    """
    if deviation == 0:
        return float(truth >= least)
    if n < 2:
        return 0.0
    bound = float(special.stdtrit(n - 1, (1 + confidence) / 2))
    shift = (truth - least) * math.sqrt(n) / deviation
    found = 1 - float(special.nctdtr(n - 1, shift, bound))
    # Far from the bound, where scipy's series stops converging, the two laws agree.
    return found if math.isfinite(found) else float(special.ndtr(shift - bound))


def normal_power(truth: float, least: float, error: float, confidence: float = 0.95) -> float:
    """The probability that the lower bound of an estimate with this standard `error` reaches `least`: a normal approximation."""
    return (
        float(special.ndtr((truth - least) / error - _z(confidence)))
        if error > 0
        else float(truth >= least)
    )


def most_drift(least: float, formula: RobustnessFormula) -> float:
    """The greatest drift, in percentage points, whose robustness by `formula` reaches `least`; infinite when any does.

    >>> round(most_drift(0.8, scoring.retention), 6)
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


def _drift_of(robustness: float, formula: RobustnessFormula) -> float:
    """The least drift from 0, as a share, that has this robustness."""
    return min(1.0, max(0.0, most_drift(robustness, formula) / 100))


def least_n(
    power: Callable[[int], float], guess: int, first: int = 1, precision: float = 0.0
) -> int | None:
    """The least n from `first` to `MOST` whose power reaches `POWER`, by bisection from around `guess`; None when none does.

    The n found reaches it, and is the least to within the share `precision`. Where a power goes up
    and down with n, one further below may reach it too.

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
    """Roughly the n that shows a mean of values with this variance to lie `distance` off a bound; at most `MOST`.

    >>> normal_n(0.2, 0.05)
    628
    """
    if distance <= 0:
        return MOST
    needed = variance * ((_z(confidence) + float(special.ndtri(POWER))) / distance) ** 2
    return min(MOST, max(1, math.ceil(needed)))


def _z(confidence: float) -> float:
    return float(special.ndtri((1 + confidence) / 2))


def _quantile(share: float, n: int, rate: float) -> int:
    """The least count that a binomial stays at or below with probability `share`."""
    low, high = -1, n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if special.bdtr(middle, n, rate) >= share else (middle, high)
    return high


def _binomial(counts: Counts, n: int, rate: float) -> FloatArray:
    """The probabilities of these counts."""
    ways = special.gammaln(n + 1) - special.gammaln(counts + 1) - special.gammaln(n - counts + 1)
    return np.asarray(
        np.exp(ways + special.xlogy(counts, rate) + special.xlog1py(n - counts, -rate)),
        dtype=np.float64,
    )
