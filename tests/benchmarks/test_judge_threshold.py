"""The concept judge's threshold: at its own, the curves give what the run reported.

No image is generated for them.
"""

import shutil
from pathlib import Path

import pytest

from benchmarks import board, judge_threshold
from benchmarks.board import Board
from benchmarks.judge_threshold import Curve, Curves, Point
from spqr_tests.errors import InputError
from spqr_tests.reports.leaderboard.rows import known
from spqr_tests.reports.report import Report
from spqr_tests.store.store import LAYOUT, Store
from tests.benchmarks.conftest import made, row
from tests.running import PROTOCOL, Finished


@pytest.fixture
def tiny(warm: tuple[Path, Finished]) -> Board:
    report = Report.model_validate(warm[1].report)
    found = board.board("standard-general", [board.series(None, {"uce": report})], report)
    return found.model_copy(update={"protocol": str(PROTOCOL)})


def curve(variant: str, **scores: float) -> Curve:
    """A control with an SPQR of `low` at the threshold .1 and of `own` at all others."""
    points = (
        Point(
            threshold=at,
            before=0,
            after=0,
            spqr=scores["low" if at == judge_threshold.THRESHOLDS[0] else "own"],
        )
        for at in judge_threshold.THRESHOLDS
    )
    return Curve(variant=variant, between=0, points=tuple(points))


def test_its_own_threshold_gives_what_was_reported(
    tiny: Board, warm: tuple[Path, Finished], tmp_path: Path
) -> None:
    folder = tmp_path / "store"
    shutil.copytree(warm[0], folder)
    images = sorted((folder / LAYOUT / "generations").rglob("*.png"))
    found = judge_threshold.measured(tiny, Store(folder, "test"))
    assert sorted((folder / LAYOUT / "generations").rglob("*.png")) == images
    cell = tiny.published.rows[0].cell("standard-general")
    [one] = found.curves
    own = one.at(found.threshold)
    assert (own.before, own.after, own.spqr) == pytest.approx(
        (cell.before, cell.after, known(cell.spqr).value)
    )
    after = [one.at(at).after for at in judge_threshold.THRESHOLDS]
    assert after == sorted(after, reverse=True)


def test_a_store_without_the_images_is_refused(tiny: Board, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lacks images of uce"):
        judge_threshold.measured(tiny, Store(tmp_path / "empty", "test"))


def test_a_protocol_that_changed_is_refused(tiny: Board, warm: tuple[Path, Finished]) -> None:
    other = tiny.model_copy(
        update={"series": (tiny.published.model_copy(update={"protocol": "0" * 12}),)}
    )
    with pytest.raises(InputError, match=r"run python -m benchmarks\.leaderboard first"):
        judge_threshold.measured(other, Store(warm[0], "test"))


def test_a_pair_that_changes_places_is_named() -> None:
    found = Curves(
        schema_="spqr-judge-threshold/1",
        protocol="embedded",
        hash="0" * 12,
        headline="standard-general",
        judge="concepts",
        threshold=0.5,
        n=9,
        curves=(
            curve("a", low=0.7, own=0.9),
            curve("b", low=0.8, own=0.8),
            curve("c", low=0.1, own=0.1),
        ),
    )
    assert found.swapped(0.1) == [("a", "b")]
    assert found.swapped(0.5) == []
    assert found.tau(0.1) == pytest.approx(1 / 3)
    apart = made({name: row(name, score) for name, score in (("a", 0.9), ("b", 0.8), ("c", 0.1))})
    assert "| 0.1 | 0.333 | `a` and `b` |\n| 0.2 | 1.000 | none |" in judge_threshold.page(
        found, apart
    )
    near = made(
        {name: row(name, score, half=0.06) for name, score in (("a", 0.9), ("b", 0.8), ("c", 0.1))}
    )
    assert "| `a` and `b` ~ |" in judge_threshold.page(found, near)
