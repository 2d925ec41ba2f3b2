"""docs/exit-codes.md says what happens: a sample of its ways is run again, as for the page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from benchmarks import numbers
from benchmarks.exit_codes import page
from benchmarks.exit_codes.rows import ExitCodes, Row
from benchmarks.exit_codes.running import WORKERS, World
from benchmarks.exit_codes.way import Way
from benchmarks.exit_codes.ways import WAYS
from benchmarks.numbers import DOCS
from tests import preloaded
from tests.running import Finished

ALONE = (
    "`--collect-only` in `PYTEST_ADDOPTS`",
    "`-p no:spqr-suite -k safety`",
    "`pytest_cmdline_main` exits with 0 without a session",
    "`pytest_configure` sets `collectonly`",
    "`pytest_sessionfinish` sets the exit status to 0, around all hooks, of a part",
    "`pytest_sessionfinish` sets the exit status to 0, where a test of one's own fails",
    "a conftest that exits",
)
TOGETHER = ("one worker runs nothing",)
BY_NAME: dict[str, Way] = {way.what: way for ways in WAYS.values() for way in ways}


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    found = numbers.read(ExitCodes, DOCS / page.NUMBERS)
    return {row.what: row for row in found.rows}


@pytest.fixture
def world(warm: tuple[Path, Finished], tmp_path: Path) -> World:
    return World(tmp_path, None, warm[0], _forked)


def _forked(
    arguments: Sequence[str], here: Path, environment: Mapping[str, str]
) -> tuple[int, str]:
    done = preloaded.run(arguments, here, environment)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("what", ALONE)
def test_a_way_leads_to_what_the_page_says(world: World, rows: dict[str, Row], what: str) -> None:
    assert world.result(BY_NAME[what]) == rows[what].alone


@pytest.mark.parametrize("what", TOGETHER)
def test_a_way_leads_to_what_the_page_says_with_workers(
    world: World, rows: dict[str, Row], what: str
) -> None:
    found, said = world.result(BY_NAME[what], WORKERS), rows[what].workers
    assert said is not None
    # How many tests the other worker had is the scheduler's choice.
    assert (found.code, found.complete) == (said.code, said.complete), found


def test_no_way_exits_with_0_that_lost_a_measurement_which_was_wanted(
    rows: dict[str, Row],
) -> None:
    passing = {what for what, row in rows.items() if row.passes_in_part}
    assert passing == {what for what, row in rows.items() if row.beyond and row.passes_in_part}
    for what in passing:
        lost = [one for one in rows[what].results if one.code == 0]
        assert all(one.state != "finished" or not one.complete for one in lost), what


def test_what_is_asked_for_is_asked_for_on_the_command_line() -> None:
    for way in BY_NAME.values():
        if way.asked:
            assert any(one.startswith("-") for one in way.arguments), way.what


def test_the_page_has_every_way_once(rows: dict[str, Row]) -> None:
    assert list(rows) == list(BY_NAME)
    assert len(BY_NAME) == sum(map(len, WAYS.values())) >= 179
