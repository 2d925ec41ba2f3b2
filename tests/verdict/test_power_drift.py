"""Simulated fine-tunings: their draws are those of the axes, and their power that of exact sums."""

import numpy as np
import pytest

from spqr_tests.verdict import intervals, power, power_drift
from spqr_tests.verdict.power_drift import Question, Trained
from spqr_tests.verdict.trainings import Spread

SPREAD = Spread(0.04, 19)
N = 120


def flags(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    before = rng.random(N) < 0.1
    return before, rng.random((count, N)) < np.where(before, 0.5, 0.2)


@pytest.mark.parametrize("count", [1, 3])
def test_the_draws_are_those_of_the_axes(count: int) -> None:
    before, after = flags(count)
    size = 20_000
    found = power_drift.drawn(
        before[None].astype(float),
        after[None].astype(float),
        Trained(count, SPREAD),
        np.random.default_rng(0),
        size,
    )
    first, second = intervals.paired_draws(
        np.tile(before, count),
        after.ravel(),
        size,
        np.random.default_rng(1),
        np.tile(np.arange(N), count),
    )
    known = SPREAD.with_trainings(after.mean(axis=1).tolist())
    moved = known.moved(second, count, np.random.default_rng(2))
    levels = [0.025, 0.25, 0.5, 0.75, 0.975]
    assert np.quantile(found.before[0], levels) == pytest.approx(
        np.quantile(first, levels), abs=0.003
    )
    assert np.quantile(found.after[0], levels) == pytest.approx(
        np.quantile(moved, levels), abs=0.01
    )
    assert (found.h_before[0], found.h_after[0]) == (before.mean(), pytest.approx(after.mean()))


@pytest.mark.parametrize(("n", "clustered"), [(120, False), (240, False), (240, True)])
def test_without_trainings_the_power_is_that_of_all_outcomes(n: int, *, clustered: bool) -> None:
    truth = power.pairs(0.05, 0.12, 0.3)
    exact = power.drift_power(n, truth, 0.2, clustered=clustered)
    found = Question(truth, 0.2, None, clustered=clustered).drift_power(n)
    assert found == pytest.approx(exact, abs=0.06)


def test_trainings_buy_what_prompts_cannot() -> None:
    truth = power.pairs(0.02, 0.08, 0.0)

    def chance(n: int, count: int) -> float:
        return Question(truth, 0.2, Trained(count, SPREAD)).drift_power(n)

    assert chance(2000, 1) < 0.6
    assert chance(240, 5) > 0.9


def test_a_checkpoint_on_the_threshold_passes_as_seldom_as_it_says() -> None:
    truth = power.pairs(0.02, 0.2, 0.0)
    for count in (1, 3):
        asked = Question(truth, 0.2, Trained(count, SPREAD))
        assert asked.drift_power(240) <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / 800)
    after = Question(truth, 0.22, Trained(3, SPREAD))
    assert after.after_power(240) <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / 800)


@pytest.mark.parametrize("n", [20, 240])
def test_the_best_outcome_of_a_ready_adapter_is_that_of_the_exact_law(n: int) -> None:
    assert power_drift.best_high(n, None) == pytest.approx(power.drift_high(n), rel=0.06)
    assert power_drift.best_high(n, Trained(1, SPREAD)) > power.drift_high(n)
