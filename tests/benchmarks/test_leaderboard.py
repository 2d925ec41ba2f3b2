"""The leaderboard: assembled from real reports, and written as a page."""

import shutil
from pathlib import Path

import pytest

from benchmarks import board, leaderboard, suite
from benchmarks.board import Board
from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.reports.report import Report
from tests.running import PROTOCOL, Finished, thresholds


@pytest.fixture
def report(warm: tuple[Path, Finished]) -> Report:
    return Report.model_validate(warm[1].report)


def test_a_row_holds_what_its_report_holds(report: Report) -> None:
    found = board.series(None, {"uce": report})
    assert found.protocol == report.protocol.hash
    assert found.n == {"safety": 9, "adherence": 12, "quality": 12}
    row = found.row("uce")
    assert report.axes.quality is not None
    quality = row.axis("Q", "standard-general")
    assert (quality.value, quality.low) == (
        report.axes.quality.value,
        report.axes.quality.low,
    )
    assert [cell.name for cell in row.cells] == [
        "lite-general",
        "moderate-general",
        "standard-general",
    ]
    for cell, reported in zip(row.cells, report.robustness, strict=True):
        assert cell.robustness.value == reported.value
        assert cell.spqr is not None
        assert (cell.spqr.value, cell.spqr.high) == (reported.spqr, reported.spqr_high)
        assert (cell.before, cell.after) == (
            reported.harmfulness_before,
            reported.harmfulness_after,
        )


def test_the_headline_may_have_more_trainings(report: Report) -> None:
    *_, cell = report.robustness
    seen = cell.trainings[0]
    more = [seen.model_copy(update={"harmfulness_after": after}) for after in (10.0, 20.0, 30.0)]
    other = report.model_copy(
        update={
            "robustness": [cell.model_copy(update={"trainings": more, "value": 0.5, "low": 0.1})],
            "protocol": report.protocol.model_copy(update={"hash": "1" * 12}),
        }
    )
    found = board.series(None, {"uce": report}, {"uce": other})
    assert (found.protocol, found.headline_protocol) == (report.protocol.hash, "1" * 12)
    lite, _, standard = found.row("uce").cells
    assert lite.trainings == (report.robustness[0].harmfulness_after,)
    assert (standard.trainings, standard.robustness.value) == ((10.0, 20.0, 30.0), 0.5)
    page = leaderboard.page(board.board("standard-general", [found], report))
    assert "| `uce` | 10.0, 20.0, 30.0 | 10.0 |" in page
    assert "was trained 3 times" in " ".join(page.split())


def test_reports_of_two_protocols_do_not_mix(report: Report) -> None:
    other = report.model_copy(
        update={"protocol": report.protocol.model_copy(update={"hash": "0" * 12})}
    )
    with pytest.raises(InputError, match=r"others: base \(protocol hash 0"):
        board.series(None, {"uce": report, "base": other})


def test_a_report_that_lacks_an_axis_makes_no_row(report: Report) -> None:
    lacking = report.model_copy(update={"axes": report.axes.model_copy(update={"quality": None})})
    with pytest.raises(ValueError, match="no quality"):
        board.series(None, {"uce": lacking})


def test_a_board_is_read_as_it_was_written(report: Report, tmp_path: Path) -> None:
    found = [board.series(seed, {"uce": report}) for seed in (None, 1)]
    made = board.board("standard-general", found, report)
    made.write(tmp_path / "board.json")
    assert board.read(tmp_path / "board.json") == made


def test_the_page_ranks_by_spqr_and_says_what_does_not_hold(sound: Board) -> None:
    page = leaderboard.page(sound)
    table = page.split("## R by")[0].splitlines()
    assert [line.split("`")[1] for line in table if line.startswith("| `")] == [
        "uce",
        "esd-x",
        "esd-u",
        "base",
    ]
    assert "| `esd-u` | 0.950 (0.940 to 0.960) |" in page
    assert "standard-general, 0.800 | R |" in page
    assert "**NO**" not in page
    assert "0.960 (0.950 to 0.970), place 1 |" in page
    assert "Of all 60 differences, 100 % are inside." in page


def test_the_page_of_one_series_has_no_other_seeds(sound: Board) -> None:
    assert "Other seeds" not in leaderboard.page(
        sound.model_copy(update={"series": sound.series[:1]})
    )


def test_a_measurement_is_what_the_suite_reports(
    warm: tuple[Path, Finished], report: Report, tmp_path: Path
) -> None:
    store, folder = tmp_path / "store", tmp_path / "run"
    shutil.copytree(warm[0], store)
    folder.mkdir()
    thresholds(folder)
    found = suite.measure("embedded:uce", str(PROTOCOL), store, folder, workers=0)
    assert found.cost.generated == found.cost.finetuned == 0
    assert found.model_copy(update={"cost": report.cost}) == report


def test_a_run_that_breaks_is_said_with_its_last_lines(tmp_path: Path) -> None:
    with pytest.raises(
        EvidenceError, match=r"ended with 4(.|\n)*there is no embedded checkpoint 'none'"
    ):
        suite.measure("embedded:none", "smoke", tmp_path / "store", tmp_path / "run", workers=0)
