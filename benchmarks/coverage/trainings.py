"""Simulated worlds of an audit: trainings as chance, drifts below 0, prompts of many sizes."""

import itertools
from collections.abc import Sequence

import numpy as np

from benchmarks.coverage.cells import FEW, SEED, Cells, cell
from spqr_tests.verdict import intervals, power, power_drift, scoring
from spqr_tests.verdict.intervals import SIDES
from spqr_tests.verdict.power_drift import Outcomes, Trained
from spqr_tests.verdict.score_draws import robustness_draws, spqr_draws
from spqr_tests.verdict.scoring import FloatArray
from spqr_tests.verdict.trainings import Spread

STATED = Spread(0.04, 19)
"""What a protocol states that states nothing of its own."""
DEVIATIONS = (0, 2, 4, 6)
"""Standard deviations between trainings, in points."""
TRAININGS = (1, 2, 3, 5)
_DRIFTS = ((0.03, 0.05), (0.03, 0.2), (0.02, 0.4))
"""Rates before, and drifts."""
_LOWERED = ((0.09, -0.04), (0.3, -0.2), (0.05, -0.01))
"""Rates before, and drifts of models that fine-tuning makes safer."""
_SIZES = ((1, 12), (1, 2))
"""The least and the greatest number of images of a prompt, of which each is as likely."""
_ALIKE = 0.5
_DRAWN = 600
_AT_ONCE = 500
_MOST = 2000


def drifts(sizes: Sequence[int], runs: int) -> Cells:
    """The drift over all trainings, from a few of them."""
    for (before, drift), sd, count in itertools.product(_DRIFTS, DEVIATIONS, TRAININGS):
        # The share of a training cannot leave [0, 1] by much.
        if sd / 100 > drift / 2:
            continue
        for n in (one for one in sizes if one <= _MOST):
            rng = np.random.default_rng([SEED, n, count])
            truth, low, high = _missed(rng, n, before, drift, sd, count, runs)
            row = f"{before:g} to {before + drift:g}, SD {sd:g}, {_trainings(count)}"
            missed = float((low > truth).mean()), float((high < truth).mean())
            yield cell("drift of trainings", row, n, missed, few=False, runs=runs)


def _missed(
    rng: np.random.Generator, n: int, before: float, drift: float, sd: float, count: int, runs: int
) -> tuple[float, FloatArray, FloatArray]:
    """The true drift and the bounds of the runs, as shares."""
    cells = power.pairs(before, drift, 0.2)
    h = cells.both + cells.lost
    stays, comes = cells.both / h, cells.gained / (1 - h)
    shift = sd / 100 * rng.standard_normal(200_000)
    truth = h * np.clip(stays + shift, 0, 1) + (1 - h) * np.clip(comes + shift, 0, 1)
    lows, highs = [], []
    for start in range(0, runs, _AT_ONCE):
        number = min(_AT_ONCE, runs - start)
        effects = sd / 100 * rng.standard_normal((number, count))
        flags = power_drift.flags(n, cells, effects, rng)
        low, high = _bounds(power_drift.drawn(*flags, Trained(count, STATED), rng, _DRAWN))
        lows.append(low)
        highs.append(high)
    return float(truth.mean() - h), np.concatenate(lows), np.concatenate(highs)


def _bounds(found: Outcomes) -> tuple[FloatArray, FloatArray]:
    drift, seen = found.after - found.before, found.h_after - found.h_before
    low, high = np.quantile(drift, [0.025, 0.975], axis=1, method="normal_unbiased")
    return np.minimum(low, seen), np.maximum(high, seen)


def lowered(sizes: Sequence[int], runs: int) -> Cells:
    """SPQR of models that fine-tuning makes safer: R is 1, and its draws may not exceed it."""
    for (before, drift), n in itertools.product(_LOWERED, (one for one in sizes if one <= _MOST)):
        rng = np.random.default_rng([SEED, n])
        truth = float(scoring.spqr(1 - before, 0.9, 0.9, 1.0))
        missed = np.zeros(2)
        for start in range(0, runs, _AT_ONCE):
            number = min(_AT_ONCE, runs - start)
            flags = power_drift.flags(
                n, power.pairs(before, drift, 0.3), np.zeros((number, 1)), rng
            )
            found = power_drift.drawn(*flags, None, rng, _DRAWN)
            # Known P and Q are the hardest: nothing else widens the interval.
            given = np.full_like(found.before, 0.9)
            drift_drawn = 100 * (found.after - found.before)
            drawn = spqr_draws(
                1 - found.before, given, given, robustness_draws(scoring.retention, drift_drawn)
            )
            low = np.quantile(drawn.low, 0.025, axis=1, method="normal_unbiased")
            high = np.quantile(drawn.high, 0.975, axis=1, method="normal_unbiased")
            missed += [(low > truth).sum(), (high < truth).sum()]
        above, below = (missed / runs).tolist()
        row = f"drift {100 * drift:+g} points, {before:g} before"
        few = n * before < FEW
        yield cell("spqr of lowered harm", row, n, (above, below), few=few, runs=runs)


def unequal(sizes: Sequence[int], runs: int) -> Cells:
    """A rate of images whose prompts have different numbers of them."""
    for (least, most), rate, n in itertools.product(
        _SIZES, (0.1, 0.3), (one for one in sizes if one <= _MOST)
    ):
        rng = np.random.default_rng([SEED, n, most])
        alpha = (1 - _ALIKE) / _ALIKE
        found = []
        for _ in range(runs):
            clusters = np.repeat(np.arange(n), rng.integers(least, most + 1, n))
            chance = rng.beta(rate * alpha, (1 - rate) * alpha, n)
            flags = rng.random(len(clusters)) < chance[clusters]
            low, high = (
                intervals.clustered_rate_draws(flags, clusters, _DRAWN, rng, side) for side in SIDES
            )
            found.append(intervals.between(low, high, include=float(flags.mean())))
        missed = (
            float(np.mean([one.low > rate for one in found])),
            float(np.mean([one.high < rate for one in found])),
        )
        row = f"{least} to {most} images, {rate:g}"
        few = n * rate < FEW
        yield cell("unequal prompts", row, n, missed, few=few, runs=runs)


def _trainings(count: int) -> str:
    return "one training" if count == 1 else f"{count} trainings"
