"""Simulated worlds of flags: rates and drifts, whose intervals are exact or integrated laws."""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks import laws
from benchmarks.coverage.cells import FEW, SEED, Cells, cell
from benchmarks.laws import FloatArray
from spqr_tests.verdict import intervals
from spqr_tests.verdict.intervals import SIDES

RATES = (0.005, 0.02, 0.05, 0.1, 0.3, 0.5, 0.9)
CORRELATIONS = (0.0, 0.3, 0.6, 0.9)
LITTLE = 15
"""The least variance of gained minus lost pairs at which counts are dense enough.

Below it, one pair more or less moves the coverage by over 1.5 points: the normal density at the
bound, .058, divided by a standard deviation below 3.9.
"""
LATTICE = 150
"""The most counts of each change in a lattice; of more, every second, third, ... is taken."""
PROMPTS = ((3, 0.3), (4, 0.3), (4, 0.8))
"""Images of one prompt, and the correlation within prompts."""
_DRIFTS = (
    (0.02, 0.05, 0.3),
    (0.05, 0.05, 0.6),
    (0.1, 0.3, 0.3),
    (0.3, 0.3, 0.6),
    (0.5, 0.9, 0.0),
)
"""Rates before and after, and the correlation of the two flags of a pair."""
_TAIL = 0.025


def safety(sizes: Sequence[int]) -> Cells:
    """Clopper-Pearson's interval of a rate: all outcomes."""
    for n, rate in itertools.product(sizes, RATES):
        counts = np.arange(n + 1)
        bounds = [intervals.clopper_pearson(int(k), n) for k in counts]
        weights = stats.binom.pmf(counts, n, rate)
        above = float(weights[[one.low > rate for one in bounds]].sum())
        below = float(weights[[one.high < rate for one in bounds]].sum())
        yield cell("safety", f"{rate:g}", n, (above, below), few=False)


def rates_of_prompts(sizes: Sequence[int], runs: int) -> Cells:
    """The interval of a rate of images that share prompts."""
    rng = np.random.default_rng(SEED)
    for images, alike in PROMPTS:
        for n, rate in itertools.product(sizes, RATES):
            # A rate is a drift that loses nothing: its flags are the gained images.
            chances = laws.shares(images, (0.0, rate, 1 - rate), alike)[
                laws.kinds(images)[:, 0] == 0
            ]
            counts, times = _distinct(rng.multinomial(n, chances, size=runs))
            lower, upper = (laws.rate_below(counts, images, rate, side) for side in SIDES)
            missed = tails(lower, upper, times)
            informative = n * min(1 - chances[0], 1 - chances[-1])
            row = f"{images} images, {alike:g}: {rate:g}"
            yield cell("prompts", row, n, missed, few=informative < FEW, runs=runs)


def drifts(sizes: Sequence[int]) -> Cells:
    """The drift of pairs: all outcomes, or a lattice of them."""
    for n in sizes:
        for before, after in itertools.combinations_with_replacement(RATES, 2):
            for correlation in CORRELATIONS:
                found = pair_shares(before, after, correlation)
                if found is None:
                    continue
                _, lost, gained, _ = found
                counts, weights = lattice(n, lost, gained)
                lower, upper = (laws.drift_below(counts, 1, gained - lost, side) for side in SIDES)
                missed = tails(lower, upper, weights)
                few = n * (lost + gained - (gained - lost) ** 2) < LITTLE
                row = f"{before:g} to {after:g}, {correlation:g}"
                yield cell("drift", row, n, missed, few=few)


def drifts_of_prompts(sizes: Sequence[int], runs: int) -> Cells:
    """The drift of pairs that share prompts.

    The rates and the correlation of pairs decide how many images are lost and gained.
    """
    rng = np.random.default_rng(SEED)
    for images, alike in PROMPTS:
        kinds = laws.kinds(images)
        for n, (before, after, correlation) in itertools.product(sizes, _DRIFTS):
            _, lost, gained, _ = possible(before, after, correlation)
            chances = laws.shares(images, (lost, gained, 1 - lost - gained), alike)
            counts, times = _distinct(rng.multinomial(n, chances, size=runs))
            lower, upper = (laws.drift_below(counts, images, gained - lost, side) for side in SIDES)
            missed = tails(lower, upper, times)
            changed = chances[kinds[:, 0] != kinds[:, 1]].sum()
            row = f"{images} images, {alike:g}: {before:g} to {after:g}, {correlation:g}"
            few = n * min(changed, 1 - changed) < FEW
            yield cell("drift of prompts", row, n, missed, few=few, runs=runs)


def pair_shares(before: float, after: float, correlation: float) -> NDArray[np.float64] | None:
    """The probabilities of a flag both times, before only, after only and never, shape (4,).

    None where two flags with these rates cannot have this correlation.
    """
    both = before * after + correlation * np.sqrt(before * (1 - before) * after * (1 - after))
    found = np.array([both, before - both, after - both, 1 - before - after + both])
    return None if found.min() < -1e-12 else found.clip(0) / found.clip(0).sum()


def possible(before: float, after: float, correlation: float) -> NDArray[np.float64]:
    """`pair_shares`; `ValueError` for an impossible correlation."""
    found = pair_shares(before, after, correlation)
    if found is None:
        raise ValueError(
            f"Flags with the rates {before} and {after} cannot have the correlation {correlation}."
        )
    return found


def tails(lower: FloatArray, upper: FloatArray, weights: FloatArray) -> tuple[float, float]:
    """The shares of outcomes whose interval is above and below the truth.

    `lower` and `upper` (outcomes,) are how much of each outcome's law, toward either bound, is
    below the truth.
    """
    total = weights.sum()
    return float(weights[lower < _TAIL].sum() / total), float(
        weights[upper > 1 - _TAIL].sum() / total
    )


def lattice(
    n: int, lost: float, gained: float, most: int = LATTICE
) -> tuple[FloatArray, FloatArray]:
    """Prompts by `laws.kinds(1)`, shape (outcomes, 3), and the probability of each outcome."""

    def steps(rate: float) -> NDArray[np.int64]:
        low, high = stats.binom.ppf([1e-7, 1 - 1e-7], n, rate) if rate > 0 else (0, 0)
        return np.arange(int(low), int(high) + 1, max(1, int(high - low) // most))

    less, more = (one.ravel() for one in np.meshgrid(steps(lost), steps(gained), indexing="ij"))
    fits = less + more <= n
    less, more = less[fits], more[fits]
    weights = stats.multinomial.pmf(
        np.column_stack([less, more, n - less - more]), n, [lost, gained, 1 - lost - gained]
    )
    kept = weights > weights.max() * 1e-6
    # The order of `kinds`: unchanged, gained, lost.
    return np.column_stack([n - less - more, more, less])[kept].astype(np.float64), weights[kept]


def _distinct(counts: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    found, times = np.unique(counts, axis=0, return_counts=True)
    return found.astype(np.float64), times.astype(np.float64)
