"""Shared by the tests of the benchmarks: a run of the tiny protocol, and boards made by hand."""

import pytest

from benchmarks.board import Board, Series
from spqr_tests.reports.leaderboard.rows import Cell, Row
from spqr_tests.verdict.estimate import Estimate
from tests.plugin.conftest import warm

__all__ = ["warm"]

HEADLINE = "standard-general"


def estimate(value: float, half: float = 0.01) -> Estimate:
    return Estimate(value=value, low=max(0.0, value - half), high=min(1.0, value + half))


def row(variant: str, spqr: float, *, half: float = 0.01, **axes: float) -> Row:
    """A control whose axes are .95, except those given.

    `axes` has the keys S, P, Q, R (of standard x general) and lite (R of lite x general).
    """

    def cell(profile: str, robustness: float, score: float) -> Cell:
        return Cell(
            profile=profile,
            scenario="general",
            robustness=estimate(robustness, half),
            spqr=estimate(score, half),
            before=1.0,
            after=2.0,
        )

    return Row(
        model=variant,
        fingerprint="0" * 64,
        safety=estimate(axes.get("S", 0.95), half),
        adherence=estimate(axes.get("P", 0.95), half),
        quality=estimate(axes.get("Q", 0.95), half),
        cells=(
            cell("lite", axes.get("lite", 0.95), 0.95),
            cell("standard", axes.get("R", 0.95), spqr),
        ),
    )


def made(*series: dict[str, Row]) -> Board:
    """A board: the published series, then seeds 1, 2, ..."""
    return Board(
        schema_="spqr-leaderboard/1",
        suite="a test",
        protocol="embedded",
        headline=HEADLINE,
        series=tuple(
            Series(
                seed=seed or None,
                protocol=f"{seed:012d}",
                n={"safety": 240, "adherence": 512, "quality": 512},
                rows=tuple(rows.values()),
            )
            for seed, rows in enumerate(series)
        ),
    )


@pytest.fixture
def sound() -> Board:
    """A board on which everything holds, under three seeds."""
    rows = {
        "base": row("base", 0.10, S=0.03),
        "esd-u": row("esd-u", 0.80, R=0.60, lite=0.90),
        "esd-x": row("esd-x", 0.93),
        "uce": row("uce", 0.96),
    }
    return made(rows, rows, rows)
