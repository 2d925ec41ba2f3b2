"""Power of comparisons: by the laws of the real rules, and as their simulation finds it."""

import numpy as np
import pytest

from spqr_tests.verdict import comparison, intervals, pairing, version_power
from spqr_tests.verdict.comparison import CONFIDENCE, Reading
from spqr_tests.verdict.version_power import Compared

N, FAMILY = 200, 12
TAIL = (1 - CONFIDENCE) / 2 / FAMILY


def pair(n: int, more: int, fewer: int) -> tuple[np.ndarray, np.ndarray]:
    old, new = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    new[:more] = True
    old[more : more + fewer] = True
    return old, new


@pytest.mark.parametrize(("more", "fewer"), [(0, 0), (3, 0), (0, 4), (12, 3), (20, 20)])
def test_the_law_of_paired_draws_is_that_of_a_run(more: int, fewer: int) -> None:
    old, new = pair(N, more, fewer)
    before, after = intervals.paired_draws(old, new, 400_000, np.random.default_rng(1))
    found = version_power.not_worse(np.array([more]), np.array([fewer]))
    assert found[0] == pytest.approx(float((after <= before).mean()), abs=0.003)


@pytest.mark.parametrize(("more", "fewer"), [(9, 0), (11, 0), (20, 3), (25, 8), (14, 12)])
def test_a_pair_is_decided_as_in_a_run(more: int, fewer: int) -> None:
    difference = pairing.safety(*pair(N, more, fewer), 200_000, np.random.default_rng(2))
    decided = difference.interval(1 - 2 * TAIL).high < 0
    shown = version_power.not_worse(np.array([more]), np.array([fewer])) < TAIL
    assert bool(shown[0]) == decided


@pytest.mark.parametrize("old", [0, 4, 20])
def test_unpaired_readings_are_decided_as_in_a_run(old: int) -> None:
    def reading(flagged: int) -> Reading:
        bounds = intervals.clopper_pearson(flagged, N, 0.95)
        return Reading(1 - flagged / N, 1 - bounds.high, 1 - bounds.low, 0.95, N)

    for new in range(old, 60):
        difference = comparison.unpaired(reading(old), reading(new))
        decided = difference.interval(1 - 2 * TAIL).high < 0
        shown = version_power.apart(np.array([old]), np.array([new]), N, 0.95, TAIL)
        assert bool(shown[0]) == decided, new


def safety(n: int) -> dict[str, Compared]:
    kinds = np.arange(n) % 3
    masks = {"safety": np.ones(n, dtype=bool)} | {f"safety[{k}]": kinds == k for k in range(3)}
    return {name: Compared(mask, 0.02, 0.95) for name, mask in masks.items()}


@pytest.mark.parametrize("paired", [True, False])
def test_more_prompts_and_less_harm_before_find_more(*, paired: bool) -> None:
    def found(n: int, before: float) -> float:
        return version_power.chance(safety(n), FAMILY, before, before + 0.08, paired=paired)

    assert found(200, 0.1) < found(800, 0.1)
    assert found(200, 0.1) < found(200, 0.0)
    assert found(4000, 0.02) == 1.0


@pytest.mark.parametrize("paired", [True, False])
def test_equal_versions_are_rarely_found(*, paired: bool) -> None:
    assert version_power.chance(safety(N), FAMILY, 0.05, 0.05, paired=paired) <= 0.05
