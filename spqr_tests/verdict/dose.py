"""Dose and response: the drift at several steps of one training, with a band for all of them.

The band is simultaneous: in a share `confidence` of runs it contains the true drift at every step.
So any statement about the curve may be read off it, such as its greatest drift or the step at which
it first exceeds a bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spqr_tests.verdict import intervals
from spqr_tests.verdict.correction import Correction
from spqr_tests.verdict.intervals import Interval
from spqr_tests.verdict.prompt_counts import counted, effective
from spqr_tests.verdict.scoring import FloatArray
from spqr_tests.verdict.trainings import Spread

METHOD = "paired bootstrap over prompts, simultaneous over the steps"
_AT_ONCE = 2**22
"""Weights that are drawn at once."""


@dataclass(frozen=True)
class Band:
    """Drifts in percentage points by step, and the bounds that hold for all of them together.

    All tuples have one length; steps increase.
    """

    steps: tuple[int, ...]
    drift: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def greatest(self, until: int) -> tuple[float, Interval]:
        """The greatest drift at the kept steps up to `until`, and its interval, in points.

        ValueError where there is none.
        """
        kept = [place for place, step in enumerate(self.steps) if step <= until]
        if not kept:
            raise ValueError(f"No step up to {until} is kept: {self.steps}.")
        drift, low, high = (
            max(one[place] for place in kept) for one in (self.drift, self.low, self.high)
        )
        return drift, Interval(low, high)

    def first_above(self, drift: float) -> "Crossing":
        """The step at which the curve first exceeds `drift`, in points.

        Between kept steps, and from 0 points before the first step, the curve and the bounds are
        taken as straight lines. A curve inside of the band then crosses between the crossings of
        the two bounds.
        """
        step, earliest, latest = (
            self._first(bound, drift) for bound in (self.drift, self.high, self.low)
        )
        return Crossing(drift, step, earliest, latest, self.steps[-1])

    def _first(self, bound: Sequence[float], drift: float) -> float | None:
        before, level = 0, 0.0
        if level > drift:
            return 0.0
        for step, reached in zip(self.steps, bound, strict=True):
            if reached > drift:
                return before + (step - before) * (drift - level) / (reached - level)
            before, level = step, reached
        return None


@dataclass(frozen=True)
class Crossing:
    """The step at which a drift is first exceeded, and its interval.

    None stands for 'not within `last` steps'; as `latest` it makes the interval one-sided.
    """

    drift: float
    step: float | None
    earliest: float | None
    latest: float | None
    last: int

    @property
    def sentence(self) -> str:
        """The interval in words, which claim no more than was measured.

        >>> Crossing(20, 84.2, 50.1, None, 200).sentence
        'at step 84 (from 50 on, perhaps not within 200 steps)'
        """
        never = f"not within {self.last} steps"
        if self.earliest is None:
            return never
        if self.step is None:
            return f"{never} as measured (the band allows it from step {self.earliest:.0f} on)"
        if self.latest is None:
            return f"at step {self.step:.0f} (from {self.earliest:.0f} on, perhaps {never})"
        return f"at step {self.step:.0f} ({self.earliest:.0f} to {self.latest:.0f})"


def draws_for(steps: int, confidence: float) -> int:
    """The draws that leave forty beyond each bound of the widest interval a band may need.

    The draws also say how wide the band is, and with ten it would contain a share of them that it
    does not contain of others.
    """
    return 4 * intervals.enough_draws(1 - (1 - confidence) / steps)


def drift_draws(
    before: ArrayLike,
    after: Sequence[ArrayLike],
    size: int,
    rng: np.random.Generator,
    clusters: ArrayLike | None = None,
    spread: Spread | None = None,
    correction: Correction | None = None,
) -> FloatArray:
    """Joint draws of the drift at k steps, in percentage points, shape (size, k).

    `before` (images,) and `after` (k, images) are flags of the same prompts and seeds, `clusters`
    the prompt of each image. Each step has the law of `intervals.paired_draws`. The prompts'
    weights are those of all steps together, which keeps the steps' dependence. The hypothetical
    pairs of a step are its own: nothing is known of how changes that were never seen go together,
    and no dependence makes a band of independent ones too narrow (Sidak 1967).

    `spread` is that between trainings, of which the flags are one; without it the draws are of this
    training. How a training that does more at one step does at another is not known either.
    `correction` is for the judges' errors, with as many draws as `size`.

    Raises ValueError for flags that are empty, not boolean, or of different lengths.
    """
    first, second = _rates(before, after, size, rng, clusters)
    drawn = [
        _drift(one, other, spread, correction, rng)
        for one, other in zip(first.T, second.T, strict=True)
    ]
    return np.stack(drawn, axis=1)


def _drift(
    before: FloatArray,
    after: FloatArray,
    spread: Spread | None,
    correction: Correction | None,
    rng: np.random.Generator,
) -> FloatArray:
    """Draws of one step's drift, in points, from those of the flagged shares."""
    drift, seen = after - before, after
    if correction is not None:
        drift, seen = correction.differences(drift), correction.shares(after)
    every = seen if spread is None else spread.moved(seen, 1, rng)
    return np.asarray(np.clip(100 * (drift + every - seen), -100, 100))


def _rates(
    before: ArrayLike,
    after: Sequence[ArrayLike],
    size: int,
    rng: np.random.Generator,
    clusters: ArrayLike | None,
) -> tuple[FloatArray, FloatArray]:
    """Draws of the flagged shares before and after each step, both of shape (size, k)."""
    columns = [_flags(one) for one in (before, *after)]
    if len({len(one) for one in columns}) != 1 or len(columns) < 2:
        raise ValueError(
            "A curve needs flags before and at one step at least, all of one length, got"
            f" {[len(one) for one in columns]}."
        )
    table = _by_prompt(np.stack([*columns, np.ones_like(columns[0])], axis=1), clusters)
    images = float(table[:, -1].mean())
    drawn = _sums(table, size, rng)
    changes = np.abs(table[:, 1:-1] - table[:, :1])
    change = np.minimum(images, (images**2 + (changes**2).sum(0)) / (images + changes.sum(0)))
    k = changes.shape[1]
    joins = rng.standard_gamma(1.0, (3, size, k)) * (rng.random((3, size, k)) < 0.5)
    total = drawn[:, -1:] + images * joins.sum(0)
    return (drawn[:, :1] + change * joins[1]) / total, (drawn[:, 1:-1] + change * joins[0]) / total


def band(
    steps: Sequence[int], drift: Sequence[float], draws: FloatArray, confidence: float
) -> Band:
    """The simultaneous band of drifts (k,) in points, from joint draws of them (draws, k).

    It is made of percentile intervals, all of one confidence: the least at which a share
    `confidence` of the draws is inside of all of them (Besag et al. 1995, section 6.3). Where k is
    1, that is the ordinary interval. Each is widened to contain its estimate.
    """
    size, k = draws.shape
    if len(steps) != k or len(drift) != k:
        raise ValueError(f"{len(steps)} steps and {len(drift)} drifts have draws of {k}.")
    ranks = np.empty(draws.shape, dtype=np.int64)
    np.put_along_axis(ranks, draws.argsort(axis=0), np.arange(1, size + 1)[:, None], axis=0)
    tails = np.minimum(ranks, size + 1 - ranks).min(axis=1) / (size + 1)
    alpha = 1 - confidence
    # Never beyond Bonferroni's, which holds however the steps depend on one another.
    tail = max(alpha / (2 * k), min(alpha / 2, float(np.quantile(tails, alpha, method="lower"))))
    bounds = [
        intervals.percentile(column, 1 - 2 * tail, include=float(value))
        for column, value in zip(draws.T, drift, strict=True)
    ]
    return Band(
        tuple(int(step) for step in steps),
        tuple(float(value) for value in drift),
        tuple(one.low for one in bounds),
        tuple(one.high for one in bounds),
    )


def _flags(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values)
    if array.ndim != 1 or array.size == 0 or array.dtype != np.bool_:
        raise ValueError(
            f"Flags must be a non-empty one-dimensional array of booleans, got {array.dtype} of"
            f" shape {array.shape}."
        )
    return array.astype(np.float64)


def _by_prompt(columns: FloatArray, clusters: ArrayLike | None) -> FloatArray:
    """Sums (prompts, columns) of `columns` (images, columns) by prompt."""
    if clusters is None:
        return columns
    ids = np.asarray(clusters)
    if ids.shape != (len(columns),):
        raise ValueError(f"Every image needs a prompt, got {ids.shape} for {len(columns)} images.")
    _, positions = np.unique(ids, return_inverse=True)
    return np.stack([np.bincount(positions, weights=column) for column in columns.T], axis=1)


def _sums(table: FloatArray, size: int, rng: np.random.Generator) -> FloatArray:
    """Column sums (size, columns) of prompts with random weights."""
    # Equal rows share a gamma variate, as in `intervals`, and their order cannot matter.
    rows, counts = np.unique(table, axis=0, return_counts=True)
    sizes = table[:, -1]
    each = counted(effective(sizes)) / len(table) if sizes.max() > 1 else 1.0
    part = max(1, _AT_ONCE // len(rows))
    return np.concatenate(
        [
            rng.standard_gamma(counts * each, size=(min(part, size - start), len(rows))) @ rows
            for start in range(0, size, part)
        ]
    )
