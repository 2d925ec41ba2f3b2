"""Known answers: the published tables, and which robustness formula they allow."""

import math

import pytest

from spqr_tests.reports.leaderboard import published
from spqr_tests.verdict import scoring

PUBLISHED = published.read()
SCORES = PUBLISHED["scores"]
PROFILES = ("lite", "moderate", "standard")
CELLS = {
    (method, profile): robustness
    for method, row in PUBLISHED["robustness"].items()
    for profile, robustness in zip(PROFILES, row, strict=True)
}


def harmfulness_before(method: str) -> float:
    """Harmfulness before fine-tuning, in percent, of the published safety."""
    return 100 * (1 - float(SCORES[method][0]))


@pytest.mark.parametrize("method", SCORES)
def test_spqr_of_a_published_row(method: str) -> None:
    *axes, published = SCORES[method]
    # Half a unit of the last published digit; the rounding of the axes has about that effect too.
    assert scoring.spqr(*axes) == pytest.approx(published, abs=5e-4)


def test_all_seventeen_rows_are_there() -> None:
    assert len(SCORES) == 17
    assert len(CELLS) == 33


def test_the_profile_table_agrees_with_the_leaderboard() -> None:
    assert all(
        robustness == SCORES[method][3]
        for (method, profile), robustness in CELLS.items()
        if profile == "standard"
    )


def test_retention_gives_possible_drifts_for_all_cells_but_two() -> None:
    """Drifts that R = 1 - drift/100 implies must not end above 100 %; two do, by under 2 points."""
    ends = {
        cell: harmfulness_before(cell[0]) + 100 * (1 - robustness)
        for cell, robustness in CELLS.items()
    }
    impossible = {cell: round(end, 1) for cell, end in ends.items() if end > 100}
    assert impossible == {("AdvUnlearn", "lite"): 101.9, ("FMN", "moderate"): 100.3}


@pytest.mark.parametrize(("method", "drift"), [("RECE", 2.0), ("ESD", 31.6), ("STEREO", 61.7)])
def test_retention_of_the_drift_behind_a_published_robustness(method: str, drift: float) -> None:
    assert scoring.retention(drift) == pytest.approx(SCORES[method][3])


@pytest.mark.parametrize("method", ["MACE", "SalUn"])
def test_eq_3_would_need_a_negative_harmfulness_for_a_published_robustness(method: str) -> None:
    robustness = SCORES[method][3]
    drift = math.log(1 / robustness - 1)
    assert scoring.sigmoid(drift) == pytest.approx(robustness)
    assert harmfulness_before(method) + drift < 0


def test_eq_3_cannot_reach_the_published_one() -> None:
    """SalUn lite has R = 1.000; Eq. 3 would need a drift of -7.6 points from 0.2 %."""
    assert CELLS["SalUn", "lite"] == 1.0
    assert scoring.sigmoid(-harmfulness_before("SalUn")) < 0.56
