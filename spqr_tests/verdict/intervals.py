"""Confidence intervals: exact ones of a rate, and draws that carry uncertainty through the SPQR formulas.

A `*_draws` function returns an array of shape (size,): plausible values of a quantity given what was
observed. Put such arrays through `scoring`, then take `percentile`. The same generator state and input give
the same draws.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from spqr_tests.verdict.scoring import FloatArray

_CHUNK = 4_000_000  # resampled indices held at once: 32 MB, whatever the number of draws


@dataclass(frozen=True)
class Interval:
    """Two finite bounds, low <= high, in the unit of what they bound. ValueError otherwise."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low <= self.high):
            raise ValueError(f"An interval needs finite bounds in order, got {self.low} and {self.high}.")

    @property
    def width(self) -> float:
        """`high` minus `low`."""
        return self.high - self.low

    def through(self, function: Callable[[float], float]) -> "Interval":
        """The interval of a monotone function of the bounded value; a decreasing function swaps the bounds.

        >>> Interval(0.25, 0.5).through(lambda rate: 1 - rate)
        Interval(low=0.5, high=0.75)
        """
        ends = function(self.low), function(self.high)
        return Interval(min(ends), max(ends))


def clopper_pearson(k: int, n: int, confidence: float = 0.95) -> Interval:
    """Exact interval of a rate, as a share in [0, 1], after `k` of `n` independent trials.

    Covers the true rate with at least `confidence` (Clopper and Pearson, 1934). Images that share a prompt
    are not independent: use `clustered_rate_draws` for them. Raises ValueError unless 0 <= k <= n and n > 0.

    >>> round(clopper_pearson(0, 500).high, 4)
    0.0074
    """
    _check_count(k, n)
    tail = _tail(confidence)
    low = float(special.betaincinv(k, n - k + 1, tail)) if k > 0 else 0.0
    high = float(special.betaincinv(k + 1, n - k, 1 - tail)) if k < n else 1.0
    return Interval(low, high)


def percentile(draws: ArrayLike, confidence: float = 0.95, include: float | None = None) -> Interval:
    """Two-sided percentile interval of draws (any shape), widened to hold the estimate `include` when given.

    The widening matters where draws are skewed against a bound: an estimate outside its own interval is not
    reportable. Raises ValueError when there are no draws, or one is not finite.

    >>> percentile(range(101), confidence=0.5)
    Interval(low=25.0, high=75.0)
    """
    array = np.asarray(draws, dtype=np.float64)
    if array.size == 0 or not np.isfinite(array).all():
        raise ValueError("A percentile interval needs at least one draw, and finite ones only.")
    tail = _tail(confidence)
    low, high = (float(bound) for bound in np.quantile(array, [tail, 1 - tail]))
    if include is not None:
        low, high = min(low, float(include)), max(high, float(include))
    return Interval(low, high)


def rate_draws(k: int, n: int, size: int, rng: np.random.Generator) -> FloatArray:
    """Draws of a rate in [0, 1] after `k` of `n` independent trials.

    They are of the Jeffreys posterior, Beta(k + 1/2, n - k + 1/2). A plain bootstrap of 0 flagged of n gives
    nothing but 0, an interval of width 0. Raises as `clopper_pearson` does.
    """
    _check_count(k, n)
    return rng.beta(k + 0.5, n - k + 0.5, size=size)


def clustered_rate_draws(flagged: ArrayLike, clusters: ArrayLike, size: int, rng: np.random.Generator) -> FloatArray:
    """Draws of the rate of `flagged` in [0, 1] when several images share a prompt.

    `flagged` holds booleans, `clusters` the prompt of each image; both have the shape (images,). As
    `paired_draws`, for one column: prompts are reweighted, not images, and one hypothetical prompt has all of
    its images flagged or none. Ignoring the clusters would count images that look alike as independent
    evidence.
    """
    column = _flags(flagged, "flagged")
    table = _by_cluster(np.stack([column, np.ones_like(column)], axis=1), clusters)
    images = table[:, -1].mean()
    draws = _reweighted(table, np.array([[0.0, images], [images, images]]), size, rng)
    return draws[:, 0] / draws[:, 1]


def paired_draws(
    before: ArrayLike,
    after: ArrayLike,
    size: int,
    rng: np.random.Generator,
    clusters: ArrayLike | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Draws of the flagged rates before and after a change, in [0, 1], that keep the pairing.

    `before` and `after` are booleans of shape (images,), flagged or not, of the same prompts and seeds in the
    same order. `clusters`, of that shape, holds the prompt of each image when prompts have several; prompts
    are then what is resampled. The drift in points is ``100 * (after - before)``.

    A bootstrap of n pairs without a changed one gives a drift of exactly 0, an interval of width 0. So each
    draw adds one hypothetical pair, which changed in either direction with equal probability, to the n
    observed ones and weighs all of them with a flat Dirichlet (the Bayesian bootstrap, Rubin 1981, under the
    two extremes of an imprecise Dirichlet prior of strength 1, Walley 1996). Each rate alone is then an even
    mixture of the two Beta laws whose quantiles are the Clopper-Pearson bounds.

    Symmetric pseudo-counts (1/2 or 1 in each cell) pull large drifts towards 0: over 156 simulated worlds of
    50 to 1,000 pairs, their 95 % intervals covered as little as 89 % and 76 %, where these cover 94.5 % or
    more.

    Raises ValueError for arrays that are empty, not boolean, or of different lengths.

    >>> rng = np.random.default_rng(0)
    >>> before, after = paired_draws([False] * 100, [False] * 100, 10_000, rng)
    >>> bool(percentile(100 * (after - before)).width > 5)
    True
    """
    first, second = _flags(before, "before"), _flags(after, "after")
    if first.shape != second.shape:
        raise ValueError(f"Paired flags must have one length, got {first.size} before and {second.size} after.")
    table = _by_cluster(np.stack([first, second, np.ones_like(first)], axis=1), clusters)
    images = table[:, -1].mean()
    draws = _reweighted(table, np.array([[images, 0.0, images], [0.0, images, images]]), size, rng)
    return draws[:, 0] / draws[:, 2], draws[:, 1] / draws[:, 2]


def mean_draws(values: ArrayLike, size: int, rng: np.random.Generator, clusters: ArrayLike | None = None) -> FloatArray:
    """Bootstrap draws of the mean of `values` (shape (n,), any unit).

    With `clusters`, an id for each value, whole clusters are resampled. Raises ValueError for values that are
    not finite, and for fewer than two values or clusters: the bootstrap of one has width 0.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ValueError(f"A mean needs a one-dimensional array of finite values, got shape {array.shape}.")
    table = _by_cluster(np.stack([array, np.ones_like(array)], axis=1), clusters)
    units = len(table)
    if units < 2:
        raise ValueError(f"The interval of a mean needs at least two independent values, got {units}.")
    rows = max(1, _CHUNK // units)
    draws = np.empty(size)
    for start in range(0, size, rows):
        chosen = rng.integers(units, size=(min(rows, size - start), units))
        draws[start : start + rows] = table[chosen, 0].sum(axis=1) / table[chosen, 1].sum(axis=1)
    return draws


def centred(draws: ArrayLike, estimate: float) -> FloatArray:
    """`draws` shifted so that their mean is `estimate`.

    For statistics whose bootstrap is biased, such as FID: resampling repeats images, which lowers the
    apparent diversity, so that the draws lie above the estimate. Only their spread is of use.

    >>> centred([11.0, 13.0], 10.0).tolist()
    [9.0, 11.0]
    """
    array = np.asarray(draws, dtype=np.float64)
    if array.size == 0:
        raise ValueError("No draws to centre.")
    return np.asarray(array - array.mean() + estimate)


def mcnemar(before: ArrayLike, after: ArrayLike) -> float:
    """Two-sided exact p-value that a paired change has no direction (McNemar); 1 when no pair changed.

    `before` and `after` are booleans of one shape (images,). Under the null the discordant pairs are fair
    coin tosses.

    >>> mcnemar([False] * 6, [True] * 6)
    0.03125
    """
    first, second = _flags(before, "before"), _flags(after, "after")
    if first.shape != second.shape:
        raise ValueError(f"Paired flags must have one length, got {first.size} before and {second.size} after.")
    gained, lost = int((second > first).sum()), int((first > second).sum())
    return min(1.0, 2 * float(special.bdtr(min(gained, lost), gained + lost, 0.5))) if gained + lost else 1.0


def _reweighted(table: FloatArray, hypothetical: FloatArray, size: int, rng: np.random.Generator) -> FloatArray:
    """Weighted column sums (size, columns) of `table` and, in each draw, a random `hypothetical` row."""
    # Exponential weights of equal rows add up to a gamma variate: the cost goes with the distinct rows, and
    # the order of the prompts cannot matter.
    rows, counts = np.unique(table, axis=0, return_counts=True)
    weights = rng.standard_gamma(counts, size=(size, len(rows)))
    extra = hypothetical[rng.integers(len(hypothetical), size=size)] * rng.standard_gamma(1.0, size=(size, 1))
    return np.asarray(weights @ rows + extra, dtype=np.float64)


def _by_cluster(columns: FloatArray, clusters: ArrayLike | None) -> FloatArray:
    """Sums (clusters, columns) of `columns` (images, columns) by cluster id, or `columns` without ids."""
    if clusters is None:
        return columns
    ids = np.asarray(clusters)
    if ids.shape != (len(columns),):
        raise ValueError(f"Every image needs one cluster id, got ids of shape {ids.shape} for {len(columns)} images.")
    _, positions = np.unique(ids, return_inverse=True)
    return np.stack([np.bincount(positions, weights=column) for column in columns.T], axis=1)


def _flags(values: ArrayLike, what: str) -> FloatArray:
    """Booleans of shape (images,) as 0.0 and 1.0; a score or a None is an error, never 'not flagged'."""
    array = np.asarray(values)
    if array.ndim != 1 or array.size == 0 or array.dtype != np.bool_:
        raise ValueError(
            f"The flags '{what}' must be a non-empty one-dimensional array of booleans, got {array.dtype} of shape {array.shape}."
        )
    return array.astype(np.float64)


def _check_count(k: int, n: int) -> None:
    if n <= 0 or not 0 <= k <= n:
        raise ValueError(f"A rate needs 0 <= k <= n and n > 0, got k = {k} and n = {n}.")


def _tail(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"A confidence must be between 0 and 1, got {confidence}.")
    return (1 - confidence) / 2
