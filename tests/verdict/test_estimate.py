"""The difference of two estimates: published examples, and a property of all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from spqr_tests.verdict.estimate import Estimate, difference


def wilson(k: int, n: int) -> Estimate:
    found = stats.binomtest(k, n).proportion_ci(method="wilson")
    return Estimate(value=k / n, low=found.low, high=found.high)


def test_is_newcombes_interval_where_both_are_wilsons() -> None:
    # Newcombe 1998 (Statistics in Medicine 17, 873), table II, method 10, examples (a), (b) and
    # (f).
    for one, other, low, high in (
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((10, 10), (0, 20), 0.6791, 1.0000),
    ):
        found = difference(wilson(*one), wilson(*other))
        assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


estimates = (
    st.tuples(*[st.floats(0, 1)] * 3)
    .map(sorted)
    .map(lambda found: Estimate(low=found[0], value=found[1], high=found[2]))
)


@given(estimates, estimates)
def test_is_the_same_either_way_round(one: Estimate, other: Estimate) -> None:
    forth, back = difference(one, other), difference(other, one)
    assert (forth.low, forth.value, forth.high) == pytest.approx(
        (-back.high, -back.value, -back.low)
    )
    assert forth.low <= forth.value <= forth.high
