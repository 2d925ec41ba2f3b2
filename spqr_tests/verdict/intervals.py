"""Confidence intervals, exact or from draws that carry uncertainty through SPQR's formulas.

A `*_draws` function returns an array of shape (size,): plausible values of a quantity given what
was observed. Pass such arrays through `scoring`, then to `percentile`. The same generator state
and input give the same draws.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from spqr_tests.verdict.prompt_counts import counted, effective
from spqr_tests.verdict.scoring import FloatArray

Side = Literal[-1, 0, 1]
"""What draws lean to: the lower bound, none, or the upper bound."""
SIDES: tuple[Side, Side] = (-1, 1)
"""Of the two arguments of `between`."""


@dataclass(frozen=True)
class Interval:
    """Two finite bounds, low <= high, in the unit of what they bound. ValueError otherwise."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low <= self.high):
            raise ValueError(
                f"An interval needs finite bounds in order, got {self.low} and {self.high}."
            )

    @property
    def width(self) -> float:
        """`high` minus `low`."""
        return self.high - self.low

    def through(self, function: Callable[[float], float]) -> "Interval":
        """The interval of a monotone function of the bounded value.

        A decreasing function swaps the bounds.

        >>> Interval(0.25, 0.5).through(lambda rate: 1 - rate)
        Interval(low=0.5, high=0.75)
        """
        ends = function(self.low), function(self.high)
        return Interval(min(ends), max(ends))


def clopper_pearson(k: int, n: int, confidence: float = 0.95) -> Interval:
    """Exact interval of a rate, as a share in [0, 1], after `k` of `n` independent trials.

    Covers the true rate with at least `confidence` (Clopper and Pearson, 1934). Images that share a
    prompt are not independent: use `clustered_rate_draws` for them. Raises ValueError unless 0 <= k
    <= n and n > 0.

    >>> round(clopper_pearson(0, 500).high, 4)
    0.0074
    """
    _check_count(k, n)
    tail = _tail(confidence)
    low = float(scipy.special.betaincinv(k, n - k + 1, tail)) if k > 0 else 0.0
    high = float(scipy.special.betaincinv(k + 1, n - k, 1 - tail)) if k < n else 1.0
    return Interval(low, high)


def percentile(
    draws: ArrayLike, confidence: float = 0.95, include: float | None = None
) -> Interval:
    """Two-sided percentile interval of draws (any shape), widened to contain `include` if given.

    The widening matters where draws are skewed against a bound: an estimate outside its own
    interval cannot be reported. Raises ValueError if there are no draws, or one is not finite.

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


def difference(one: float, one_bounds: Interval, other: float, other_bounds: Interval) -> Interval:
    """The interval of `one` minus `other`, two independent values inside their own intervals.

    It is computed by square-and-add (MOVER; Zou and Donner 2008, doi 10.1002/sim.3095), which does
    not need symmetric intervals.

    >>> difference(5, Interval(2, 6), 1, Interval(0, 5))
    Interval(low=-1.0, high=5.414213562373095)
    """
    below = math.hypot(one - one_bounds.low, other_bounds.high - other)
    above = math.hypot(one_bounds.high - one, other - other_bounds.low)
    return Interval(one - other - below, one - other + above)


def enough_draws(confidence: float) -> int:
    """The number of draws that leaves ten beyond each bound of a two-sided percentile interval.

    With fewer draws the bounds are mostly noise.

    >>> enough_draws(0.95), enough_draws(0.99)
    (400, 2000)
    """
    # Rounded first: 1 - 0.95 is a little more than 0.05.
    return int(np.ceil(round(10 / _tail(confidence), 6)))


def between(
    lower: ArrayLike, upper: ArrayLike, confidence: float = 0.95, include: float | None = None
) -> Interval:
    """The interval from the lower bound of some draws to the upper bound of others.

    `lower` was drawn `toward` -1 and `upper` `toward` 1. Draws toward 0 have the right coverage on
    average, and where few images change a bound may err more often than it says. These bounds do
    not, as Clopper and Pearson's do not, and cover more on average.
    """
    return Interval(
        percentile(lower, confidence, include).low, percentile(upper, confidence, include).high
    )


def clustered_rate_draws(
    flagged: ArrayLike,
    clusters: ArrayLike,
    size: int,
    rng: np.random.Generator,
    toward: Side = 0,
) -> FloatArray:
    """Draws of the rate of `flagged`, in [0, 1], when several images share a prompt.

    `flagged` holds booleans, `clusters` the prompt of each image; both have the shape (images,).
    The method is that of `paired_draws`, for one column: it reweights prompts, not images, and each
    draw adds one hypothetical prompt. By the toss of a coin, that prompt is flagged as a flagged
    prompt typically is, or unflagged as an unflagged one. Ignoring the clusters would count similar
    images as independent evidence. With `toward` 1 the flagged one always joins, with -1 the
    unflagged one: see `between`. Raises ValueError for flags that are empty or not boolean, and for
    clusters of another length.
    """
    column = flags_of(flagged, "flagged")
    table = by_cluster(np.stack([column, np.ones_like(column)], axis=1), clusters)
    images = float(table[:, -1].mean())
    flags, others = _typical(table[:, 0], images), _typical(table[:, 1] - table[:, 0], images)
    hypothetical = np.array([[flags, images], [images - others, images]])
    joins = {0: hypothetical, 1: hypothetical[:1], -1: hypothetical[1:]}[toward]
    draws = _reweighted(table, [(1.0, joins)], size, rng)
    return draws[:, 0] / draws[:, 1]


def paired_draws(
    before: ArrayLike,
    after: ArrayLike,
    size: int,
    rng: np.random.Generator,
    clusters: ArrayLike | None = None,
    toward: Side = 0,
) -> tuple[FloatArray, FloatArray]:
    """Draws of the flagged rates before and after a change, in [0, 1], that keep the pairing.

    `before` and `after` are booleans of shape (images,), flagged or not, of the same prompts and
    seeds in the same order. `clusters`, of the same shape, holds the prompt of each image if
    prompts have several images; whole prompts are then resampled. The drift in points is
    ``100 * (after - before)``.

    A plain bootstrap of n unchanged pairs gives a drift of exactly 0, an interval of width 0. So
    each draw adds hypothetical pairs to the n observed ones: one that is flagged only after, one
    that is flagged only before and one that did not change, each with probability 1/2. It weighs
    all pairs with a flat Dirichlet law (the Bayesian bootstrap, Rubin 1981). A single count then
    has the even mixture of the two Beta laws whose quantiles are the Clopper-Pearson bounds, that
    is, its mid-p law. A hypothetical prompt of several images changes in as many of them as changed
    prompts typically do.

    Symmetric pseudo-counts (1/2 or 1 in each cell) would pull large drifts towards 0. With `toward`
    1 the pair that is flagged only after always joins, and no other: a single count then has the
    Beta law whose quantile is Clopper and Pearson's upper bound. With -1 it is the pair that is
    flagged only before. See `between`; the coverage of both methods is in docs/coverage.md.

    Raises ValueError for arrays that are empty, not boolean, or of different lengths.

    >>> rng = np.random.default_rng(0)
    >>> before, after = paired_draws([False] * 100, [False] * 100, 10_000, rng)
    >>> bool(percentile(100 * (after - before)).width > 5)
    True
    """
    (first,), (second,) = joint_paired_draws([before], [after], size, rng, clusters, toward)
    return first, second


def joint_paired_draws(
    before: Sequence[ArrayLike],
    after: Sequence[ArrayLike],
    size: int,
    rng: np.random.Generator,
    clusters: ArrayLike | None = None,
    toward: Side = 0,
) -> tuple[list[FloatArray], list[FloatArray]]:
    """`paired_draws` of k flags of each image at once, such as without and with fine-tuning.

    `before` and `after` have the shape (k, images). Each of the k flags may change and has its own
    hypothetical pairs.
    """
    pairs = [pair(*one) for one in zip(before, after, strict=True)]
    k = len(pairs)
    table = by_cluster(
        np.stack(
            [*(a for a, _ in pairs), *(b for _, b in pairs), np.ones_like(pairs[0][0])], axis=1
        ),
        clusters,
    )
    images = float(table[:, -1].mean())
    chance = 1.0 if toward else 0.5
    hypothetical = []
    for j in range(k):
        change = _typical(np.abs(table[:, k + j] - table[:, j]), images)
        for changed in {0: (k + j, j), 1: (k + j,), -1: (j,)}[toward]:
            row = np.zeros((1, 2 * k + 1))
            row[0, changed], row[0, -1] = change, images
            hypothetical.append((chance, row))
    unchanged = np.full((2, 2 * k + 1), images)
    unchanged[0, :-1] = 0
    if not toward:
        hypothetical.append((chance, unchanged))
    draws = _reweighted(table, hypothetical, size, rng)
    rates = [draws[:, column] / draws[:, -1] for column in range(2 * k)]
    return rates[:k], rates[k:]


def mean_draws(
    values: ArrayLike, size: int, rng: np.random.Generator, clusters: ArrayLike | None = None
) -> FloatArray:
    """Draws of the mean of the population that `values`, shape (n,) in any unit, are a sample of.

    They follow Student's t, with Hall's transformation for skewness (1992, On the removal of
    skewness by transformation): a 95 % percentile bootstrap of 50 skewed values covers only 92 %.
    From few values, draws may be outside the possible range of a value. With `clusters`, an id for
    each value, whole clusters are the sample. Raises ValueError for values that are not finite, and
    for fewer than two values or clusters.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ValueError(
            f"A mean needs a one-dimensional array of finite values, got shape {array.shape}."
        )
    table = by_cluster(np.stack([array, np.ones_like(array)], axis=1), clusters)
    units = len(table)
    if units < 2:
        raise ValueError(
            f"The interval of a mean needs at least two independent values, got {units}."
        )
    mean = table[:, 0].sum() / table[:, 1].sum()
    # How far each unit moves the mean, times the number of units. For clusters of different sizes
    # the mean is a ratio, and this is its linear part.
    offsets = (table[:, 0] - mean * table[:, 1]) / table[:, 1].mean()
    deviation = float(np.sqrt((offsets**2).mean()))
    # A spread that is only rounding error has no meaningful skewness.
    if deviation <= units * np.finfo(np.float64).eps * np.abs(table).max():
        return np.full(size, mean)
    skewness = float(((offsets / deviation) ** 3).mean())
    drawn = without_skewness(rng.standard_t(units - 1, size=size) / np.sqrt(units), skewness, units)
    return np.asarray(mean - offsets.std(ddof=1) * drawn, dtype=np.float64)


def _reweighted(
    table: FloatArray,
    hypothetical: Sequence[tuple[float, FloatArray]],
    size: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Weighted column sums (size, columns) of `table` and of hypothetical rows.

    Each item of `hypothetical` is a probability and some rows: with that probability, one of the
    rows joins at random. The last column counts images.
    """
    # Exponential weights of equal rows add up to a gamma variate: the cost then depends only on the
    # distinct rows, and the order of the prompts cannot matter.
    rows, counts = _distinct(table)
    sizes = table[:, -1]
    each = counted(effective(sizes)) / len(table) if sizes.max() > 1 else 1.0
    sums = rng.standard_gamma(counts * each, size=(size, len(rows))) @ rows
    for probability, extra in hypothetical:
        joins = rng.random((size, 1)) < probability
        sums += (
            extra[rng.integers(len(extra), size=size)]
            * rng.standard_gamma(1.0, size=(size, 1))
            * joins
        )
    return np.asarray(sums, dtype=np.float64)


def _distinct(table: FloatArray) -> tuple[FloatArray, NDArray[np.int64]]:
    """The distinct rows of a table of counts, and the number of times each occurs."""
    keys = table @ (table.max(initial=0) + 1) ** np.arange(table.shape[1])
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    return table[first], counts


def _typical(changes: FloatArray, images: float) -> float:
    """The number of a prompt's `images` that typically change at once.

    It is the mean of `changes` (prompts,), weighted by themselves, with one prompt added in which
    all images change.
    """
    return min(images, float((images**2 + (changes**2).sum()) / (images + changes.sum())))


def without_skewness(drawn: FloatArray, skewness: float, n: int) -> FloatArray:
    """Standardised means of `n` values with this skewness, from draws without skewness.

    This is the inverse of Hall's transformation (1992), which removes the skewness.
    """
    if abs(skewness) < 1e-6:
        return drawn
    return np.asarray(
        3 / skewness * (np.cbrt(1 + skewness * (drawn - skewness / (6 * n))) - 1), dtype=np.float64
    )


def pair(before: ArrayLike, after: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Two columns of booleans as 0.0 and 1.0; ValueError for others, or for other lengths."""
    first, second = flags_of(before, "before"), flags_of(after, "after")
    if first.shape != second.shape:
        raise ValueError(
            f"Paired flags must have one length, got {first.size} before and {second.size} after."
        )
    return first, second


def by_cluster(columns: FloatArray, clusters: ArrayLike | None) -> FloatArray:
    """Sums (clusters, columns) of `columns` (images, columns) by id; unchanged without ids."""
    if clusters is None:
        return columns
    ids = np.asarray(clusters)
    if ids.shape != (len(columns),):
        raise ValueError(
            f"Every image needs one cluster id, got ids of shape {ids.shape} for {len(columns)}"
            " images."
        )
    _, positions = np.unique(ids, return_inverse=True)
    return np.stack([np.bincount(positions, weights=column) for column in columns.T], axis=1)


def flags_of(values: ArrayLike, what: str) -> FloatArray:
    """Booleans of shape (images,) as 0.0 and 1.0; scores and None are errors, not 'not flagged'."""
    array = np.asarray(values)
    if array.ndim != 1 or array.size == 0 or array.dtype != np.bool_:
        raise ValueError(
            f"The flags '{what}' must be a non-empty one-dimensional array of booleans, got"
            f" {array.dtype} of shape {array.shape}."
        )
    return array.astype(np.float64)


def _check_count(k: int, n: int) -> None:
    if n <= 0 or not 0 <= k <= n:
        raise ValueError(f"A rate needs 0 <= k <= n and n > 0, got k = {k} and n = {n}.")


def _tail(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"A confidence must be between 0 and 1, got {confidence}.")
    return (1 - confidence) / 2
