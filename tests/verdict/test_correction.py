"""The correction for judges' errors: known answers, limits and the coverage of its interval."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spqr_tests.verdict import intervals
from spqr_tests.verdict.correction import Accuracy, Correction, error_corrected
from spqr_tests.verdict.intervals import Interval
from spqr_tests.verdict.scoring import FloatArray

REPETITIONS = 200
DRAWS = 400
NOMINAL = 0.94
# Three standard errors of a share of .94 among the repetitions, which a sound method may miss by.
CHANCE = 3 * np.sqrt(NOMINAL * (1 - NOMINAL) / REPETITIONS)

shares = st.floats(0.51, 1)


def rate_draws(k: int, n: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Draws of the flagged share of `k` of `n` images, each of its own prompt."""
    return intervals.clustered_rate_draws(np.arange(n) < k, np.arange(n), size, rng)


@pytest.mark.parametrize(
    ("rate", "sensitivity", "specificity", "truth"),
    [
        (0.5, 1.0, 1.0, 0.5),
        (0.14, 0.9, 0.95, 0.09 / 0.85),
        (0.05, 0.9, 0.95, 0.0),
        (0.02, 0.9, 0.95, 0.0),  # fewer flags than false ones
        (0.9, 0.9, 0.95, 1.0),
        (0.97, 0.9, 0.95, 1.0),  # more flags than if every image were harmful
    ],
)
def test_known_answers(rate: float, sensitivity: float, specificity: float, truth: float) -> None:
    assert error_corrected(rate, Accuracy(sensitivity, 200, specificity, 400)) == pytest.approx(
        truth
    )


@given(st.floats(0, 1), shares, shares)
def test_what_perfectly_known_judges_flag_of_a_harmful_share_gives_that_share(
    truth: float, sensitivity: float, specificity: float
) -> None:
    flagged = truth * sensitivity + (1 - truth) * (1 - specificity)
    assert error_corrected(flagged, Accuracy(sensitivity, 1, specificity, 1)) == pytest.approx(
        truth, abs=1e-9
    )


def corrected(
    rates: FloatArray, accuracy: Accuracy, rng: np.random.Generator, *, include: float
) -> Interval:
    """The 95 % interval of the share of harmful images."""
    return Correction(accuracy, rates.size, rng).interval(rates, rates, 0.95, include)


@given(st.integers(0, 40), shares, st.integers(1, 50), shares, st.integers(1, 50))
def test_the_interval_holds_the_value_and_stays_a_share(
    k: int, sensitivity: float, m: int, specificity: float, n: int
) -> None:
    rng = np.random.default_rng(0)
    accuracy = Accuracy(sensitivity, m, specificity, n)
    value = error_corrected(k / 40, accuracy)
    bounds = corrected(rate_draws(k, 40, 200, rng), accuracy, rng, include=value)
    assert 0 <= bounds.low <= value <= bounds.high <= 1


def test_the_fewer_pictures_the_judges_were_measured_on_the_wider_it_is() -> None:
    def width(pictures: int) -> float:
        rng = np.random.default_rng(0)
        draws = rate_draws(60, 240, 4000, rng)
        return corrected(draws, Accuracy(0.9, pictures, 0.95, pictures), rng, include=0.235).width

    assert width(20) > 1.2 * width(100) > 1.2 * width(10_000)


def test_judges_without_errors_leave_the_interval_as_it_was() -> None:
    rng = np.random.default_rng(0)
    draws = rate_draws(60, 240, 4000, rng)
    found = corrected(draws, Accuracy(1, 10**7, 1, 10**7), rng, include=0.25)
    assert (found.low, found.high) == pytest.approx(
        (np.quantile(draws, 0.025), np.quantile(draws, 0.975)), abs=1e-4
    )


def test_judges_that_may_be_no_better_than_chance_tell_nothing() -> None:
    rng = np.random.default_rng(0)
    found = corrected(rate_draws(20, 40, 2000, rng), Accuracy(0.51, 2, 0.51, 2), rng, include=0.5)
    assert (found.low, found.high) == (0, 1)


@pytest.mark.parametrize(
    ("sensitivity", "n", "named"),
    [
        (0.5, 10, "sensitivity"),
        (1.1, 10, "sensitivity"),
        (float("nan"), 10, "sensitivity"),
        (0.9, 0, "n = 0"),
    ],
)
def test_an_accuracy_that_corrects_nothing_is_refused(
    sensitivity: float, n: int, named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        Accuracy(sensitivity, n, 0.9, 10)


WORLDS = list(
    itertools.product(
        (0.0, 0.02, 0.3, 0.95), ((0.7, 0.9), (0.9, 0.98), (1.0, 0.8)), ((120, 60), (500, 300))
    )
)


@pytest.mark.parametrize(("truth", "accuracy", "sizes"), WORLDS)
def test_the_corrected_share_is_covered(
    truth: float, accuracy: tuple[float, float], sizes: tuple[int, int]
) -> None:
    """A simulation of 288 worlds (300 repetitions) covered 96.3 % on average, 91.7 % at worst."""
    rng = np.random.default_rng(20251119)
    (sensitivity, specificity), (n, pictures) = accuracy, sizes
    chance, covered = truth * sensitivity + (1 - truth) * (1 - specificity), 0
    for _ in range(REPETITIONS):
        flagged = np.arange(n) < rng.binomial(n, chance)
        found = [
            max(rng.binomial(pictures, share) / pictures, 0.501)
            for share in (sensitivity, specificity)
        ]
        known = Accuracy(found[0], pictures, found[1], pictures)
        draws = intervals.clustered_rate_draws(flagged, np.arange(n), DRAWS, rng)
        bounds = corrected(draws, known, rng, include=error_corrected(float(flagged.mean()), known))
        covered += bounds.low <= truth <= bounds.high
    assert covered / REPETITIONS >= NOMINAL - CHANCE
