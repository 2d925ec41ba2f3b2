"""Sequential runs, stopped by the code that stops a run, and the fixed n to compare them with."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.sequential.worlds import World
from spqr_tests.verdict import sequential
from spqr_tests.verdict.scoring import FloatArray

CONFIDENCE = 0.95
LOOK = 32
"""Images between two looks."""
SHARE = 0.4
"""The share of the planned images that early stopping is hoped to need at most."""
_BLOCK = 4_000_000
"""Numbers held in memory at once."""


@dataclass(frozen=True)
class Outcomes:
    """Runs of one world with one truth and one planned n; arrays have the shape (runs,)."""

    world: World
    truth: float
    planned: int
    used: FloatArray
    """Images."""
    passed: NDArray[np.bool_]
    failed: NDArray[np.bool_]
    covered: NDArray[np.bool_]
    fixed_covered: float
    """The coverage of the planned n's interval when it is computed once, at the end."""
    fixed_decided: float
    """The share of runs that this interval decides."""

    @property
    def share(self) -> float:
        """The mean share of the planned images that were generated."""
        return float(self.used.mean()) / self.planned


def simulate(world: World, truth: float, planned: int, runs: int, seed: int) -> Outcomes:
    """`runs` sequential runs of at most `planned` images each."""
    rng = np.random.default_rng(seed)
    prompts = planned // world.per_prompt
    block = max(1, _BLOCK // prompts)
    parts = [
        _block(world, truth, world.units(truth, (min(block, runs - start), prompts), rng))
        for start in range(0, runs, block)
    ]
    used, passed, failed, covered, *fixed = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    means = (float(one.mean()) for one in fixed)
    return Outcomes(world, truth, prompts * world.per_prompt, used, passed, failed, covered, *means)


def smallest(world: World, truth: float, runs: int, seed: int) -> int:
    """The smallest planned n, a multiple of 50, of which at most 40 % is used."""
    return next(
        n for n in range(500, 10_001, 50) if simulate(world, truth, n, runs, seed).share <= SHARE
    )


def fixed_n(world: World, truth: float, power: float) -> int:
    """The least fixed n, in images, whose 95 % interval decides with this power.

    For drift by the normal approximation, otherwise from binomial outcomes.
    """
    tail = (1 - CONFIDENCE) / 2
    if world.drift:
        variance = 2 * world.lost + truth - truth**2
        reach = stats.norm.isf(tail) + stats.norm.ppf(power)
        return int(np.ceil(variance * (reach / (truth - world.near)) ** 2))
    n = np.arange(20, 4001)
    if truth < world.near:
        # With at most so many flags, the upper bound is below the threshold.
        most = stats.binom.ppf(tail, n, world.near) - 1
        powers = stats.binom.cdf(most, n, truth)
    else:
        powers = stats.binom.sf(stats.binom.isf(tail, n, world.near), n, truth)
    return int(n[powers < power].max(initial=n[0]) + 1)


def _block(world: World, truth: float, units: FloatArray) -> tuple[NDArray[np.generic], ...]:
    runs, prompts = units.shape
    during, at_the_end = sequential.split(CONFIDENCE)
    error = (1 - during) / 2
    low, high = world.support
    near, true = ((value - low) / (high - low) for value in (world.near, truth))
    variance = sequential.unit_variance(world.variance / (high - low) ** 2, world.per_prompt)
    placed = sequential.bets(near, variance, prompts, error)
    values = np.unique(units)
    shares = (values - low * world.per_prompt) / (high - low) / world.per_prompt
    counts = np.stack([(units == value).cumsum(axis=1) for value in values], axis=-1).astype(
        np.float64
    )
    kinds = np.stack([shares, np.ones_like(shares)], axis=1)
    rich = np.log(1 / error)

    def first(mean: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """After how many prompts the bets on less and on more than `mean` have won, shape (runs,).

        One more than there are prompts stands for never.
        """
        hits = (wealth >= rich for wealth in sequential.log_wealth(counts, kinds, mean, placed))
        less, more = (
            np.where(hit.any(axis=1), hit.argmax(axis=1) + 1, prompts + 1) for hit in hits
        )
        return less, more

    less, more = first(near)
    look = max(1, LOOK // world.per_prompt)
    stop = np.minimum(np.minimum(-(-np.minimum(less, more) // look) * look, prompts), prompts)
    passed, failed = (less <= prompts) & (less < more), (more <= prompts) & (more < less)
    covered = np.minimum(*((less, more) if truth == world.near else first(true))) > stop
    fixed, decided = np.ones(runs, dtype=bool), np.ones(runs, dtype=bool)
    for run in range(runs):
        whole = world.final(units[run], CONFIDENCE)
        fixed[run] = whole.low <= truth <= whole.high
        decided[run] = whole.high <= world.near or whole.low > world.near
        if not passed[run] and not failed[run]:
            bounds = world.final(units[run], at_the_end)
            covered[run] &= bounds.low <= truth <= bounds.high
            passed[run], failed[run] = bounds.high <= world.near, bounds.low > world.near
    return stop * world.per_prompt, passed, failed, covered, fixed, decided
