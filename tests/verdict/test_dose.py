"""Bands of curves: simultaneous, no narrower than one step's interval, and read off correctly."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from spqr_tests.verdict import dose, intervals
from spqr_tests.verdict.correction import Accuracy, Correction
from spqr_tests.verdict.dose import Band, Crossing
from spqr_tests.verdict.trainings import Spread

N, SIZE = 120, 4000
Booleans = NDArray[np.bool_]


def world(n: int = N, *shares: float, seed: int = 0) -> tuple[Booleans, list[Booleans]]:
    rng = np.random.default_rng(seed)
    before, up = rng.random(n) < 0.1, rng.random(n)
    return before, [before | (up < share) for share in shares]


def made(before: Booleans, after: list[Booleans], confidence: float = 0.95, **how: Any) -> Band:
    draws = dose.drift_draws(before, after, SIZE, np.random.default_rng(1), **how)
    drift = [100 * (one.mean() - before.mean()) for one in after]
    return dose.band(range(1, len(after) + 1), drift, draws, confidence)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3])
@pytest.mark.parametrize("images", [1, 4])
def test_one_step_has_the_law_of_a_drift(share: float, images: int) -> None:
    before, (after,) = world(N, share)
    clusters = np.arange(N) // images
    size = 100_000
    found = dose.drift_draws(before, [after], size, np.random.default_rng(1), clusters)[:, 0]
    one, other = intervals.paired_draws(before, after, size, np.random.default_rng(2), clusters)
    tails = [0.01, 0.025, 0.5, 0.975, 0.99]
    assert np.quantile(found, tails) == pytest.approx(
        np.quantile(100 * (other - one), tails), abs=0.5
    )


def test_the_band_of_one_step_is_its_interval() -> None:
    before, after = world(N, 0.3)
    draws = dose.drift_draws(before, after, SIZE, np.random.default_rng(1))
    drift = 100 * (after[0].mean() - before.mean())
    found = dose.band([7], [drift], draws, 0.95)
    own = intervals.percentile(draws[:, 0], 0.95, include=drift)
    assert (found.low[0], found.high[0]) == pytest.approx((own.low, own.high), abs=0.1)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_as_many_draws_as_it_says_are_inside_at_all_steps(confidence: float) -> None:
    before, after = world(N, 0.05, 0.1, 0.2, 0.3)
    draws = dose.drift_draws(before, after, SIZE, np.random.default_rng(1))
    drift = [100 * (one.mean() - before.mean()) for one in after]
    found = dose.band([1, 2, 3, 4], drift, draws, confidence)
    inside = ((draws >= found.low) & (draws <= found.high)).all(axis=1).mean()
    assert inside == pytest.approx(confidence, abs=0.01)


def test_a_band_is_wider_than_an_interval_and_narrower_than_bonferroni() -> None:
    before, after = world(N, 0.05, 0.1, 0.2, 0.3)
    draws = dose.drift_draws(before, after, 50_000, np.random.default_rng(1))
    drift = [100 * (one.mean() - before.mean()) for one in after]
    found = dose.band([1, 2, 3, 4], drift, draws, 0.95)
    for place, column in enumerate(draws.T):
        alone, strict = (
            intervals.percentile(column, one, include=drift[place]) for one in (0.95, 1 - 0.05 / 4)
        )
        width = found.high[place] - found.low[place]
        assert alone.width < width < strict.width + 0.5


def test_bands_are_nested_and_hold_their_estimates() -> None:
    before, after = world(N, 0.0, 0.01, 0.3)
    bands = [made(before, after, one) for one in (0.8, 0.95, 0.999)]
    for narrow, wide in pairwise(bands):
        assert all(one >= other for one, other in zip(narrow.low, wide.low, strict=True))
        assert all(one <= other for one, other in zip(narrow.high, wide.high, strict=True))
    for low, drift, high in zip(bands[0].low, bands[0].drift, bands[0].high, strict=True):
        assert low <= drift <= high


def test_the_order_of_prompts_does_not_matter() -> None:
    before, after = world(N, 0.1, 0.2)
    clusters = np.arange(N) // 3
    order = np.random.default_rng(5).permutation(N)
    assert made(before, after, clusters=clusters) == made(
        before[order], [one[order] for one in after], clusters=clusters[order]
    )


def test_steps_of_the_same_prompts_go_together() -> None:
    before, after = world(1000, 0.3, 0.3)
    draws = dose.drift_draws(before, after, SIZE, np.random.default_rng(1))
    assert np.corrcoef(draws.T)[0, 1] > 0.98


def test_trainings_as_chance_widen_the_band() -> None:
    before, after = world(1000, 0.0, 0.3)
    plain = made(before, after)
    wider = made(before, after, spread=Spread(0.04, 19))
    assert wider.high[1] - wider.low[1] > 2 * (plain.high[1] - plain.low[1])
    # Where little is brought back, trainings differ by less.
    assert wider.high[0] - wider.low[0] < wider.high[1] - wider.low[1]


def test_one_step_of_one_training_has_the_drift_of_a_cell() -> None:
    """The arm of the trainings is Student's, on the scale of angles, as `Pairs` has it."""
    before, (after,) = world(N, 0.3)
    spread, size = Spread(0.04, 19), 100_000
    found = dose.drift_draws(before, [after], size, np.random.default_rng(1), spread=spread)[:, 0]
    one, other = intervals.paired_draws(before, after, size, np.random.default_rng(2))
    moved = spread.moved(other, 1, np.random.default_rng(3))
    tails = [0.01, 0.025, 0.5, 0.975, 0.99]
    assert np.quantile(found, tails) == pytest.approx(
        np.quantile(100 * (moved - one), tails), abs=0.6
    )


def test_judges_errors_are_taken_in() -> None:
    before, after = world(1000, 0.3)
    known = Accuracy(0.8, 100, 0.95, 100)
    correction = Correction(known, SIZE, np.random.default_rng(4))
    plain, corrected = (
        dose.drift_draws(before, after, SIZE, np.random.default_rng(1), correction=one)
        for one in (None, correction)
    )
    assert np.median(corrected) == pytest.approx(np.median(plain) / 0.75, rel=0.05)
    assert corrected.std() > plain.std() / 0.75


def test_more_steps_need_more_draws() -> None:
    assert dose.draws_for(1, 0.95) == 4 * intervals.enough_draws(0.95)
    assert dose.draws_for(10, 0.95) == 40 * intervals.enough_draws(0.95)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([True], []),
        ([True, False], [[True]]),
        ([], [[]]),
        ([1, 0], [[True, False]]),
        ([True, False], [[0.5, 0.1]]),
    ],
)
def test_flags_that_are_none_are_refused(before: list[Any], after: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"flags|Flags"):
        dose.drift_draws(before, after, 10, np.random.default_rng(0))


def test_prompts_of_another_number_are_refused() -> None:
    with pytest.raises(ValueError, match="needs a prompt"):
        dose.drift_draws([True, False], [[True, True]], 10, np.random.default_rng(0), [1])
    with pytest.raises(ValueError, match="2 steps and 1 drifts"):
        dose.band([1, 2], [0.0], np.zeros((10, 1)), 0.95)


RISE = Band((50, 100, 200), (10.0, 20.0, 30.0), (5.0, 12.0, 20.0), (15.0, 28.0, 40.0))


def test_the_greatest_drift_is_of_the_steps_up_to_the_last_that_is_asked_for() -> None:
    assert RISE.greatest(200) == (30.0, intervals.Interval(20.0, 40.0))
    assert RISE.greatest(150) == (20.0, intervals.Interval(12.0, 28.0))
    with pytest.raises(ValueError, match="No step up to 49"):
        RISE.greatest(49)


@pytest.mark.parametrize(
    ("drift", "step", "earliest", "latest", "sentence"),
    [
        (5, 25, 50 / 3, 50, "at step 25 (17 to 50)"),
        (20, 100, 50 + 50 * 5 / 13, None, "at step 100 (from 69 on, perhaps not within 200 steps)"),
        (19, 95, 50 + 50 * 4 / 13, 187.5, "at step 95 (65 to 188)"),
        (
            35,
            None,
            100 + 100 * 7 / 12,
            None,
            "not within 200 steps as measured (the band allows it from step 158 on)",
        ),
        (40, None, None, None, "not within 200 steps"),
        (-1, 0, 0, 0, "at step 0 (0 to 0)"),
    ],
)
def test_the_first_step_above_a_drift(
    drift: float, step: float | None, earliest: float | None, latest: float | None, sentence: str
) -> None:
    found = RISE.first_above(drift)
    for one, other in zip(
        (found.step, found.earliest, found.latest), (step, earliest, latest), strict=True
    ):
        assert (one is None) if other is None else one == pytest.approx(other)
    assert found.sentence == sentence


def test_a_drift_that_is_reached_and_not_exceeded_is_not_exceeded() -> None:
    assert Band((10,), (20.0,), (20.0,), (20.0,)).first_above(20).step is None


@given(
    st.lists(
        st.tuples(st.floats(-50, 90), st.floats(0, 10), st.floats(0, 10), st.floats(0, 1)),
        min_size=1,
        max_size=6,
    ),
    st.floats(-50, 100),
)
def test_a_curve_inside_of_a_band_crosses_inside_of_its_interval(
    rows: list[tuple[float, float, float, float]], drift: float
) -> None:
    steps = tuple(10 * place for place in range(1, len(rows) + 1))
    low, high = (
        [one - sign * (down if sign > 0 else up) for one, down, up, _ in rows] for sign in (1, -1)
    )
    inside = [
        bottom + (top - bottom) * share
        for bottom, top, (_, _, _, share) in zip(low, high, rows, strict=True)
    ]
    estimate = tuple(one for one, _, _, _ in rows)
    found = Band(steps, estimate, tuple(low), tuple(high)).first_above(drift)
    true = Band(steps, *[tuple(inside)] * 3).first_above(drift).step
    never = np.inf
    earliest, crossed, latest = (
        never if one is None else one for one in (found.earliest, true, found.latest)
    )
    assert earliest <= crossed + 1e-6
    assert crossed <= latest + 1e-6


def test_a_crossing_says_no_more_than_was_measured() -> None:
    assert Crossing(20, None, None, None, 200).sentence == "not within 200 steps"
    assert "the band allows it" in Crossing(20, None, 120.0, None, 200).sentence
