"""Versions compared: what counts, given chance, tolerance and the number of comparisons."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from spqr_tests.verdict import comparison, intervals
from spqr_tests.verdict.comparison import CONFIDENCE, Difference, Reading, Verdict
from spqr_tests.verdict.intervals import Interval

PARTS = {"spqr[a]": ("safety", "quality", "robustness[a]")}


def normal(value: float, error: float) -> Difference:
    """A difference with the intervals of a normal law."""

    def interval(confidence: float) -> Interval:
        reach = error * stats.norm.isf((1 - confidence) / 2)
        return Interval(value - reach, value + reach)

    return Difference(value, interval, paired=True)


def verdicts(tolerance: float = 0.02, **differences: Difference) -> dict[str, Verdict]:
    found = comparison.changes(differences, dict.fromkeys(differences, tolerance), {})
    return {name: change.verdict for name, change in found.items()}


@pytest.mark.parametrize(
    ("value", "error", "verdict"),
    [
        (-0.1, 0.02, Verdict.REGRESSED),
        (0.1, 0.02, Verdict.IMPROVED),
        (-0.1, 0.1, Verdict.UNCHANGED),  # chance
        (0.1, 0.1, Verdict.UNCHANGED),
        (-0.02, 0.001, Verdict.UNCHANGED),  # sure, and within the tolerance
        (0.02, 0.001, Verdict.UNCHANGED),
        (0.0, 0.0, Verdict.UNCHANGED),
    ],
)
def test_what_counts_is_larger_than_chance_and_tolerance(
    value: float, error: float, verdict: Verdict
) -> None:
    assert verdicts(safety=normal(value, error)) == {"safety": verdict}


@pytest.mark.parametrize(
    ("value", "error", "verdict"),
    [
        (0.0, 0.01, Verdict.UNCHANGED),
        (-0.01, 0.02, Verdict.UNCHANGED),
        (0.0, 0.1, Verdict.INCONCLUSIVE),  # few prompts show nothing, and exclude nothing
        (-0.06, 0.05, Verdict.INCONCLUSIVE),
        (-0.2, 0.02, Verdict.REGRESSED),
        (0.2, 0.02, Verdict.IMPROVED),
    ],
)
def test_with_a_margin_no_worse_is_a_claim(value: float, error: float, verdict: Verdict) -> None:
    found = comparison.changes(
        {"safety": normal(value, error)}, {"safety": 0.02}, {}, {"safety": 0.05}
    )
    assert found["safety"].verdict is verdict


@pytest.mark.parametrize(
    ("value", "error", "verdict"),
    [
        (0.2, 0.02, Verdict.IMPROVED),
        (0.06, 0.02, Verdict.UNIMPROVED),  # better, and not shown to be by .05
        (0.03, 0.001, Verdict.UNIMPROVED),
        (0.0, 0.1, Verdict.UNIMPROVED),
        (-0.2, 0.02, Verdict.REGRESSED),
    ],
)
def test_a_gain_that_is_asked_for_has_to_be_shown(
    value: float, error: float, verdict: Verdict
) -> None:
    given = {"safety": normal(value, error)}
    found = comparison.changes(given, {"safety": 0.02}, {}, None, {"safety": 0.05})
    assert found["safety"].verdict is verdict


def test_a_gain_on_its_bound_seldom_passes() -> None:
    rng, error = np.random.default_rng(0), 0.02
    passed = [
        comparison.changes(
            {"safety": normal(value, error)}, {"safety": 0.02}, {}, None, {"safety": 0.05}
        )["safety"].verdict
        for value in rng.normal(0.05, error, 4000)
    ]
    share = np.mean([one is Verdict.IMPROVED for one in passed])
    assert share == pytest.approx(0.05, abs=0.012)


def test_a_loss_at_the_margin_seldom_passes() -> None:
    rng, error = np.random.default_rng(0), 0.02
    passed = [
        comparison.changes(
            {"safety": normal(value, error)}, {"safety": 0.02}, {}, {"safety": 0.05}
        )["safety"].verdict
        for value in rng.normal(-0.05, error, 4000)
    ]
    share = np.mean([one in (Verdict.UNCHANGED, Verdict.IMPROVED) for one in passed])
    assert share == pytest.approx(0.05, abs=0.012)


def test_the_interval_that_is_shown_is_the_one_that_decides_a_single_comparison() -> None:
    change = comparison.changes({"safety": normal(-0.1, 0.02)}, {"safety": 0}, {})["safety"]
    assert change.counts_at == pytest.approx(CONFIDENCE)
    assert change.interval == change.deciding


def test_of_many_comparisons_one_has_to_be_surer() -> None:
    # Its interval excludes 0 at 90 %, but not at the 99.2 % that one of twelve needs.
    weak = normal(-0.1, 0.05)
    assert verdicts(safety=weak) == {"safety": Verdict.REGRESSED}
    others = {f"robustness[{place}]": normal(0.0, 0.05) for place in range(11)}
    assert set(verdicts(safety=weak, **others).values()) == {Verdict.UNCHANGED}
    # After eleven that are certainly worse, the last is a single comparison again.
    others = {name: normal(-0.5, 0.01) for name in others}
    assert set(verdicts(safety=weak, **others).values()) == {Verdict.REGRESSED}


def test_worse_and_better_are_families_of_their_own() -> None:
    weak = normal(-0.1, 0.05)
    better = {f"robustness[{place}]": normal(0.5, 0.01) for place in range(11)}
    found = verdicts(safety=weak, **better)
    assert found.pop("safety") is Verdict.UNCHANGED
    assert set(found.values()) == {Verdict.IMPROVED}


def test_a_score_follows_what_it_is_made_of() -> None:
    score, still = normal(-0.1, 0.01), normal(0.0, 0.01)
    tolerances = dict.fromkeys(("safety", "robustness[a]", "spqr[a]"), 0.02)

    def verdict(robustness: Difference) -> Verdict:
        found = comparison.changes(
            {"safety": still, "robustness[a]": robustness, "spqr[a]": score}, tolerances, PARTS
        )
        assert found["robustness[a]"].counts_at <= 1 - (1 - CONFIDENCE) / 2 + 1e-12, (
            "the score is not a member of the family"
        )
        return found["spqr[a]"].verdict

    assert verdict(normal(-0.3, 0.01)) is Verdict.REGRESSED
    assert verdict(normal(0.3, 0.01)) is Verdict.UNCHANGED
    assert verdict(still) is Verdict.UNCHANGED


@given(st.floats(-0.5, 0.5), st.floats(0.001, 0.2), st.floats(0, 0.1))
def test_better_is_the_mirror_of_worse(value: float, error: float, tolerance: float) -> None:
    mirrored = {
        Verdict.REGRESSED: Verdict.IMPROVED,
        Verdict.IMPROVED: Verdict.REGRESSED,
        Verdict.UNCHANGED: Verdict.UNCHANGED,
    }
    one, other = (
        verdicts(tolerance, safety=normal(sign * value, error))["safety"] for sign in (1, -1)
    )
    assert other is mirrored[one]


def reading(k: int, n: int, confidence: float = 0.95) -> Reading:
    bounds = intervals.clopper_pearson(k, n, confidence)
    return Reading(k / n, bounds.low, bounds.high, confidence, n)


def test_two_readings_differ_by_square_and_add() -> None:
    # With symmetric intervals of two means, square-and-add is the textbook's formula.
    one, other = Reading(0.5, 0.4, 0.6, 0.95, 100), Reading(0.7, 0.65, 0.75, 0.95, 400)
    found = comparison.unpaired(one, other)
    assert found.value == pytest.approx(0.2)
    assert not found.paired
    bounds = found.interval(0.95)
    assert bounds.low == pytest.approx(0.2 - np.hypot(0.1, 0.05))
    assert bounds.high == pytest.approx(0.2 + np.hypot(0.1, 0.05))


@given(st.integers(0, 60), st.integers(0, 60))
def test_intervals_of_two_readings_are_nested_and_hold_the_difference(a: int, b: int) -> None:
    found = comparison.unpaired(reading(a, 60), reading(b, 60))
    narrow, wide = found.interval(0.9), found.interval(0.999)
    assert -1 <= wide.low <= narrow.low <= found.value + 1e-12
    assert found.value - 1e-12 <= narrow.high <= wide.high <= 1


def test_readings_kept_at_another_confidence_differ_alike() -> None:
    n, k = 2000, (100, 160)
    at = [
        comparison.unpaired(*(reading(one, n, c) for one in k)).interval(0.9)
        for c in (0.9, 0.95, 0.99)
    ]
    for bounds in at[1:]:
        assert bounds.low == pytest.approx(at[0].low, abs=0.001)
        assert bounds.high == pytest.approx(at[0].high, abs=0.001)


@pytest.mark.parametrize(
    "numbers",
    [
        (0.5, 0.6, 0.7, 0.95, 10),
        (0.5, 0.4, 1.1, 0.95, 10),
        (0.5, 0.4, 0.6, 1.0, 10),
        (0.5, 0.4, 0.6, 0.95, 0),
        (float("nan"), 0, 1, 0.9, 1),
    ],
)
def test_a_reading_that_cannot_be_is_refused(
    numbers: tuple[float, float, float, float, int],
) -> None:
    with pytest.raises(ValueError, match=r"A value must be|A confidence must be"):
        Reading(*numbers)
