"""How often the 95 % intervals contain the truth, in a few simulated worlds with a fixed seed.

Each bound allows for chance, three standard errors: a sound method does not fail, and one that
covers only 92 % does. docs/coverage.md has many more worlds.
"""

from collections.abc import Iterable

import numpy as np
import pytest

from benchmarks.coverage.flags import pair_shares
from benchmarks.laws import kinds, shares
from spqr_tests.verdict import intervals, scoring
from spqr_tests.verdict.correction import Accuracy, Correction
from spqr_tests.verdict.intervals import SIDES, Interval
from spqr_tests.verdict.score_draws import robustness_draws, spqr_draws

LEAST, MOST = 0.94, 0.965
DRAWS = 1000
CELLS = np.array([[True, True], [True, False], [False, True], [False, False]])


def covers(found: Iterable[Interval], truth: float, *, at_most: bool = True) -> bool:
    """Whether the intervals contain the truth as often as those of a sound method."""
    held = np.array([one.low <= truth <= one.high for one in found])
    chance = 3 * np.sqrt(LEAST * (1 - LEAST) / len(held))
    return LEAST - chance <= held.mean() <= (MOST + chance if at_most else 1)


@pytest.mark.parametrize(
    ("n", "before", "after", "correlation"),
    [
        (50, 0.1, 0.3, 0.3),
        (50, 0.3, 0.3, 0.0),
        (240, 0.005, 0.05, 0.0),
        (240, 0.05, 0.3, 0.0),
        (1000, 0.02, 0.02, 0.3),
        (1000, 0.5, 0.9, 0.3),
        (5000, 0.05, 0.05, 0.6),
    ],
)
def test_the_drift_of_pairs(n: int, before: float, after: float, correlation: float) -> None:
    rng, cells = np.random.default_rng(1), pair_shares(before, after, correlation)
    found = []
    for outcome in rng.multinomial(n, cells, size=1000):
        flags = np.repeat(CELLS, outcome, axis=0)
        rates = intervals.paired_draws(flags[:, 0], flags[:, 1], DRAWS, rng)
        found.append(
            intervals.percentile(rates[1] - rates[0], include=(outcome[2] - outcome[1]) / n)
        )
    assert covers(found, after - before)


@pytest.mark.parametrize(
    ("n", "before", "after", "correlation"),
    [(50, 0.02, 0.02, 0.6), (120, 0.005, 0.005, 0.0), (50, 0.005, 0.1, 0.0)],
)
def test_the_drift_of_pairs_that_hardly_change(
    n: int, before: float, after: float, correlation: float
) -> None:
    rng, cells = np.random.default_rng(2), pair_shares(before, after, correlation)
    found = []
    for outcome in rng.multinomial(n, cells, size=600):
        flags = np.repeat(CELLS, outcome, axis=0)
        rates = intervals.paired_draws(flags[:, 0], flags[:, 1], DRAWS, rng)
        found.append(intervals.percentile(rates[1] - rates[0]))
    assert covers(found, after - before, at_most=False)


@pytest.mark.parametrize(("alike", "images"), [(0.1, 4), (0.8, 3)])
@pytest.mark.parametrize(("lost", "gained"), [(0.05, 0.05), (0.02, 0.2)])
def test_the_drift_of_several_images_a_prompt(
    alike: float, images: int, lost: float, gained: float
) -> None:
    rng, found = np.random.default_rng(3), []
    for counts in rng.multinomial(
        150, shares(images, (lost, gained, 1 - lost - gained), alike), size=600
    ):
        changes = np.repeat(kinds(images), counts, axis=0)
        before = np.arange(images) < changes[:, :1]
        after = (np.arange(images) >= changes[:, :1]) & (
            np.arange(images) < changes.sum(axis=1, keepdims=True)
        )
        rates = intervals.paired_draws(
            before.ravel(), after.ravel(), DRAWS, rng, np.repeat(np.arange(150), images)
        )
        found.append(intervals.percentile(rates[1] - rates[0]))
    assert covers(found, gained - lost)


@pytest.mark.parametrize(("alike", "images"), [(0.1, 4), (0.8, 3)])
@pytest.mark.parametrize("rate", [0.15, 0.5])
def test_a_rate_of_several_images_a_prompt(alike: float, images: int, rate: float) -> None:
    rng, found = np.random.default_rng(4), []
    for chances in rng.beta(rate * (1 / alike - 1), (1 - rate) * (1 / alike - 1), size=(600, 100)):
        flagged = rng.random((100, images)) < chances[:, None]
        draws = intervals.clustered_rate_draws(
            flagged.ravel(), np.repeat(np.arange(100), images), DRAWS, rng
        )
        found.append(intervals.percentile(draws, include=float(flagged.mean())))
    assert covers(found, rate)


@pytest.mark.parametrize("rate", [0.005, 0.05, 0.5, 0.99])
@pytest.mark.parametrize("n", [50, 240, 1000])
def test_clopper_pearson_never_covers_less_than_it_says(n: int, rate: float) -> None:
    flagged = np.random.default_rng(20251119).binomial(n, rate, size=5000)
    bounds = {int(k): intervals.clopper_pearson(int(k), n) for k in np.unique(flagged)}
    assert (
        np.mean([bounds[int(k)].low <= rate <= bounds[int(k)].high for k in flagged]) >= 0.95 - 0.01
    )


@pytest.mark.parametrize("images", [1, 3])
def test_a_mean_of_few_skewed_values(images: int) -> None:
    rng, clusters = np.random.default_rng(5), np.repeat(np.arange(50), images)
    found = []
    for values in 0.4 - 0.02 * rng.gamma(2, size=(2000, 50)):
        every = np.repeat(values, images) + (rng.normal(0, 0.01, 50 * images) if images > 1 else 0)
        found.append(intervals.percentile(intervals.mean_draws(every, DRAWS, rng, clusters)))
    assert covers(found, 0.36)


def test_a_score_whose_robustness_is_at_its_limit() -> None:
    rng, cells = np.random.default_rng(6), pair_shares(0.05, 0.05, 0.6)
    found = []
    for outcome in rng.multinomial(60, cells, size=1000):
        flags = np.repeat(CELLS, outcome, axis=0)
        before, after = intervals.paired_draws(flags[:, 0], flags[:, 1], DRAWS, rng)
        others = np.full(DRAWS, 0.9)
        robust = robustness_draws(scoring.retention, 100 * (after - before))
        drawn = spqr_draws(1 - before, others, others, robust)
        found.append(drawn.interval(0.95, float(np.median(drawn.low))))
    assert covers(found, scoring.spqr(0.95, 0.9, 0.9, 1.0), at_most=False)


def test_a_rate_corrected_for_the_judges_errors() -> None:
    rng, found = np.random.default_rng(7), []
    for count in rng.binomial(240, 0.3 * 0.9 + 0.7 * 0.05, size=600):
        known = Accuracy(rng.binomial(200, 0.9) / 200, 200, rng.binomial(400, 0.95) / 400, 400)
        low, high = (
            intervals.clustered_rate_draws(np.arange(240) < count, np.arange(240), DRAWS, rng, side)
            for side in SIDES
        )
        judges = Correction(known, DRAWS, rng)
        found.append(judges.interval(low, high, 0.95, judges.share(count / 240)))
    assert covers(found, 0.3)
