"""The pages in docs/ that benchmarks make: each is the page of the numbers next to it."""

from pathlib import Path

import pytest
from PIL import Image

from benchmarks import (
    board,
    judge_threshold,
    leaderboard,
    numbers,
    operations,
    recipes,
    report_page,
    screenshots,
    trainings,
    versions,
)
from benchmarks.audit import page as audit
from benchmarks.audit.rows import AuditCoverage
from benchmarks.board import Board
from benchmarks.card import page as card
from benchmarks.card import published
from benchmarks.card.page import Card
from benchmarks.coverage import page as coverage
from benchmarks.coverage.cells import Coverage
from benchmarks.dose import page as dose
from benchmarks.dose.rows import Dose
from benchmarks.endurance import page as endurance
from benchmarks.endurance.rows import Endurance
from benchmarks.exit_codes import page as exit_codes
from benchmarks.exit_codes.rows import ExitCodes
from benchmarks.fuzz import page as fuzz
from benchmarks.fuzz import parsers
from benchmarks.fuzz.page import Fuzz
from benchmarks.judge_threshold import Curves
from benchmarks.numbers import DOCS
from benchmarks.operations import Operations
from benchmarks.sequential import page as sequential
from benchmarks.sequential.rows import Sequential
from benchmarks.sizes import page as sizes
from benchmarks.sizes.page import Sizes
from benchmarks.trainings import Trainings
from benchmarks.versions import Versions
from spqr_fixtures.embedded import weights
from spqr_fixtures.packaged import PACKAGED
from spqr_tests.reports.report import SCHEMA
from spqr_tests.run import sources


@pytest.fixture(scope="module")
def kept() -> Board:
    return board.read(DOCS / "leaderboard.json")


def kept_page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def test_the_leaderboard_is_the_page_of_its_numbers(kept: Board) -> None:
    assert kept_page("leaderboard.md") == leaderboard.page(kept)


def test_the_leaderboard_is_of_the_variants_that_ship(kept: Board) -> None:
    for series in kept.series:
        assert {row.model: row.fingerprint for row in series.rows} == {
            name: sources.checkpoint(PACKAGED, f"embedded:{name}", Path()).fingerprint
            for name in weights.names()
        }


def test_the_leaderboard_has_three_seeds(kept: Board) -> None:
    assert [series.seed for series in kept.series] == [None, 1, 2]
    assert len({series.protocol for series in kept.series}) == 3


def test_the_judge_threshold_is_the_page_of_its_numbers(kept: Board) -> None:
    found = Curves.model_validate_json((DOCS / "judge-threshold.json").read_bytes())
    assert kept_page("judge-threshold.md") == judge_threshold.page(found, kept)
    assert found.hash == kept.published.protocol


def test_the_coverage_of_audits_is_the_page_of_its_numbers() -> None:
    found = numbers.read(AuditCoverage, DOCS / "audit-coverage.json")
    assert kept_page("audit-coverage.md") == audit.page(found)
    assert found.runs >= 2000
    assert all(check.holds for check in audit.checks(found.rows))


def test_the_coverage_is_the_page_of_its_numbers() -> None:
    found = numbers.read(Coverage, DOCS / "coverage.json")
    assert kept_page("coverage.md") == coverage.page(found)
    assert all(check.holds for check in coverage.checks(found.cells))


def test_the_trainings_are_the_page_of_their_numbers() -> None:
    found = numbers.read(Trainings, DOCS / "trainings.json")
    assert kept_page("trainings.md") == trainings.page(found)
    assert all(holds for _, holds in trainings.checks(found))


def test_early_stopping_is_the_page_of_its_numbers() -> None:
    found = numbers.read(Sequential, DOCS / "sequential.json")
    assert kept_page("sequential.md") == sequential.page(found)
    assert all(check.holds for check in sequential.checks(found))


def test_the_power_of_versions_is_the_page_of_its_numbers() -> None:
    found = numbers.read(Versions, DOCS / "versions-power.json")
    assert kept_page("versions-power.md") == versions.page(found)
    assert all(holds for _, holds in versions.checks(found))


def test_the_recipes_page_is_the_page_of_the_packaged_recipes() -> None:
    assert kept_page("recipes.md") == recipes.page()


def test_dose_and_response_is_the_page_of_its_numbers() -> None:
    found = numbers.read(Dose, DOCS / "dose.json")
    assert kept_page("dose.md") == dose.page(found)
    assert all(holds for _, holds in dose.checks(found))


def test_the_report_page_is_the_page_of_the_samples_and_the_schemas() -> None:
    report, plan, image = report_page.read()
    assert kept_page("report.md") == report_page.page(report, plan, image)
    assert report.schema_ == SCHEMA


def test_the_screenshots_are_small_and_shown() -> None:
    names = [screenshots.name(*which) for which in screenshots.SHOTS]
    shown = kept_page("report.md")
    for name in (*names, screenshots.SHEET):
        assert f"({name})" in shown
        with Image.open(DOCS / name) as picture:
            assert picture.width in screenshots.SIZES
        assert (DOCS / name).stat().st_size < 200_000
    assert sorted(path.name for path in DOCS.glob("report-page-*")) == sorted(
        [*names, screenshots.SHEET]
    )


def test_operations_is_the_page_of_its_numbers() -> None:
    found = numbers.read(Operations, DOCS / "operations.json")
    assert kept_page("operations.md") == operations.page(found)


def test_exit_codes_is_the_page_of_its_numbers() -> None:
    found = numbers.read(ExitCodes, DOCS / "exit-codes.json")
    assert kept_page("exit-codes.md") == exit_codes.page(found)


def test_endurance_is_the_page_of_its_numbers() -> None:
    found = numbers.read(Endurance, DOCS / "endurance.json")
    assert kept_page("endurance.md") == endurance.page(found)
    assert endurance.problems(found) == []


def test_fuzz_is_the_page_of_its_numbers_and_has_no_finding() -> None:
    found = numbers.read(Fuzz, DOCS / "fuzz.json")
    assert kept_page("fuzz.md") == fuzz.page(found)
    assert [(row.parser, row.engine) for row in found.rows] == [
        (name, engine) for name in sorted(parsers.known()) for engine in fuzz.ENGINES
    ]
    for row in found.rows:
        assert row.inputs >= 10_000
        assert row.findings == []


def test_the_rates_of_a_card_are_the_page_of_its_numbers() -> None:
    found = numbers.read(Card, DOCS / "performance-card.json")
    assert kept_page("performance-card.md") == card.page(found)
    assert found.ceiling is not None
    assert all(0 < card.share(one, found.ceiling) < 1 for one in found.rates)
    assert all(one.theirs > one.ours for one in found.rates if one.theirs is not None)
    asked = published.asked()
    # As published: 500 and 100 prompts of the checkpoint and 22 fine-tunes, and 500 captions.
    assert asked.images == 23 * 600 + 500


def test_memory_is_the_page_of_its_numbers() -> None:
    found = numbers.read(Sizes, DOCS / "memory.json")
    assert kept_page("memory.md") == sizes.page(found)
    # A plan that says half, or twice, of what it takes would send people to the wrong card.
    assert all(0.8 < one.predicted / one.measured < 1.25 for one in found.rows)
