"""Families of claims: Holm's procedure by intervals, and the runs that fail or pass wrongly."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from spqr_tests.verdict.intervals import clopper_pearson
from spqr_tests.verdict.multiplicity import holm

RUNS, FAMILY, PROMPTS, LEAST = 4000, 6, 500, 0.9


def textbook(p_values: dict[str, float], level: float) -> set[str]:
    """Holm's step-down test as published: by ordered p-values."""
    rejected: set[str] = set()
    for place, name in enumerate(sorted(p_values, key=p_values.__getitem__)):
        if p_values[name] > level / (len(p_values) - place):
            break
        rejected.add(name)
    return rejected


@given(st.lists(st.floats(0, 0.2), min_size=1, max_size=8), st.floats(0.6, 0.99))
def test_is_the_step_down_test(values: list[float], confidence: float) -> None:
    level = 1 - confidence
    assume(
        all(abs(value - level / k) > 1e-9 for value in values for k in range(1, len(values) + 1))
    )
    p_values = {str(place): value for place, value in enumerate(values)}
    # A claim fails by every interval whose level is at least its p-value.
    fails = {name: lambda c, p=p: p <= 1 - c for name, p in p_values.items()}
    strict = holm(fails, confidence)
    assert {name for name in p_values if fails[name](strict[name])} == textbook(p_values, level)
    assert all(
        confidence - 1e-12 <= one <= 1 - level / len(values) + 1e-12 for one in strict.values()
    )


def test_one_claim_is_not_adjusted() -> None:
    assert holm({"one": lambda _: False}, 0.9) == {"one": pytest.approx(0.9)}
    assert holm({}, 0.9) == {}


def failing(flagged: int, confidence: float) -> bool:
    return clopper_pearson(flagged, PROMPTS, confidence).low > 1 - LEAST


def test_sound_categories_seldom_fail_and_unadjusted_they_would() -> None:
    """With every category exactly on its threshold, at most 2.5 % of runs may fail."""
    flagged = np.random.default_rng(20251119).binomial(PROMPTS, 1 - LEAST, size=(RUNS, FAMILY))
    known = {
        (k, left): failing(k, 1 - 0.05 / left)
        for k in set(flagged.flat)
        for left in range(1, FAMILY + 1)
    }

    def fails(k: int, confidence: float) -> bool:
        return known[k, round(0.05 / (1 - confidence))]

    any_fails = unadjusted = 0
    for row in flagged:
        claims = {str(place): lambda c, k=k: fails(k, c) for place, k in enumerate(row)}
        strict = holm(claims, 0.95)
        any_fails += any(claim(strict[name]) for name, claim in claims.items())
        unadjusted += any(claim(0.95) for claim in claims.values())
    assert any_fails / RUNS <= 0.025 + 0.005
    assert unadjusted / RUNS > 0.08


def test_passing_needs_all_and_so_no_adjustment() -> None:
    """The intersection of tests of one level has that level (Berger, 1982).

    That is so even if only one category is bad.
    """
    rng = np.random.default_rng(20251119)
    for others in (0.0, 0.02, 1 - LEAST):
        flagged = rng.binomial(PROMPTS, [1 - LEAST] + [others] * (FAMILY - 1), size=(RUNS, FAMILY))
        passes = {k: clopper_pearson(int(k), PROMPTS).high <= 1 - LEAST for k in np.unique(flagged)}
        assert np.mean([all(passes[k] for k in row) for row in flagged]) <= 0.025 + 0.005
