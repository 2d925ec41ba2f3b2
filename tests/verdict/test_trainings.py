"""Trainings as chance: beta-binomial trainings of scipy, and published properties of the angle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from spqr_tests.verdict import trainings
from spqr_tests.verdict.trainings import Spread

shares = st.floats(0, 1)


def beta(share: float, icc: float) -> "stats.rv_continuous":
    """The law of trainings' shares in a beta-binomial model with this intraclass correlation."""
    size = 1 / icc - 1
    return stats.beta(share * size, (1 - share) * size)


@pytest.mark.parametrize("icc", [0.01, 0.04, 0.09])
@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_the_points_are_those_of_a_beta_law(share: float, icc: float) -> None:
    assert Spread(icc, 10).points(share) == pytest.approx(100 * beta(share, icc).std())


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_on_the_scale_of_angles_every_share_has_the_same_spread(share: float) -> None:
    drawn = beta(share, 0.03).rvs(100_000, random_state=0)
    assert trainings.angles(drawn).std() == pytest.approx(Spread(0.03, 10).angle, rel=0.05)


@given(shares)
def test_a_share_comes_back_from_its_angle(share: float) -> None:
    found = trainings.shares_of(trainings.angles(np.array([share])))
    assert found == pytest.approx([share], abs=1e-12)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.6])
def test_trainings_around_the_centre_have_the_share_on_average(share: float) -> None:
    spread, rng = Spread(0.04, 10), np.random.default_rng(0)
    angle = trainings.centre(share, spread)
    drawn = np.sin(rng.normal(angle, spread.angle, 400_000)) ** 2
    assert drawn.mean() == pytest.approx(share, abs=0.001)


def test_the_share_of_all_trainings_is_covered() -> None:
    """Trainings are drawn from scipy's beta law, which the interval does not assume."""
    rng, icc, share = np.random.default_rng(1), 0.04, 0.2
    for count in (1, 3):
        seen = beta(share, icc).rvs((2000, count), random_state=2)
        held = 0
        for one in seen:
            known = Spread(icc, 19).with_trainings(one.tolist())
            moved = known.moved(np.full(400, one.mean()), count, rng)
            low, high = np.quantile(moved, [0.025, 0.975])
            held += low <= share <= high
        assert held / len(seen) >= 0.94


def test_more_trainings_narrow_it_and_their_own_spread_counts() -> None:
    stated, rng = Spread(0.04, 10), np.random.default_rng(0)
    widths = [stated.moved(np.full(4000, 0.2), count, rng).std() for count in (1, 4)]
    assert widths[1] == pytest.approx(widths[0] / 2, rel=0.1)
    assert stated.with_trainings([0.2, 0.2, 0.2]).icc < 0.04 < stated.with_trainings([0.1, 0.5]).icc
    assert stated.with_trainings([0.3]) == stated


def test_no_spread_moves_nothing() -> None:
    drawn = np.linspace(0, 1, 11)
    assert Spread(0, 10).moved(drawn, 1, np.random.default_rng(0)) is drawn


@given(shares, st.floats(0.5, 0.999), st.integers(1, 8))
def test_a_bound_is_on_its_side_and_a_share(share: float, confidence: float, count: int) -> None:
    spread = Spread(0.04, 10)
    low, high = (spread.bound(share, count, confidence, sign) for sign in (-1, 1))
    assert 0 <= low <= share + 1e-12
    assert share - 1e-12 <= high <= 1


@pytest.mark.parametrize(("icc", "freedom"), [(-0.1, 5), (1.1, 5), (0.1, 0), (float("nan"), 5)])
def test_what_is_no_spread_is_refused(icc: float, freedom: float) -> None:
    with pytest.raises(ValueError, match="A spread needs"):
        Spread(icc, freedom)


def test_the_components_are_standard_errors_and_a_deviation() -> None:
    found = trainings.components([10.0, 14.0], [0.0, 100.0, 0.0, 100.0])
    assert found["between_sd"] == pytest.approx(np.std([10, 14], ddof=1))
    assert found["prompts_error"] == pytest.approx(stats.sem([0, 100, 0, 100]))
    assert trainings.components([10.0], [1.0]) == {"prompts_error": None, "between_sd": None}
