"""The checks of the leaderboard: each can fail."""

import pytest

from benchmarks.board import Board
from benchmarks.controls import KNOWN_BAD, checks
from spqr_fixtures.embedded import weights
from spqr_tests.reports.leaderboard.rows import Row, known
from tests.benchmarks.conftest import made, row


def failed(board: Board) -> list[str]:
    return [check.says for check in checks(board) if not check.holds]


def with_row(board: Board, changed: Row, *, only: int | None = None) -> Board:
    return made(
        *(
            {
                one.model: (
                    changed if one.model == changed.model and only in (None, place) else one
                )
                for one in series.rows
            }
            for place, series in enumerate(board.series)
        )
    )


def test_all_hold_on_a_sound_board(sound: Board) -> None:
    assert failed(sound) == []
    said = [check.says for check in checks(sound)]
    assert sum("loses on" in one for one in said) == 2
    assert sum("tell apart" in one for one in said) == 1
    assert sum("between disjoint trainings" in one for one in said) == 1
    assert any("milder" in one for one in said)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (row("esd-u", 0.80, R=0.94, lite=0.99), "`esd-u` loses on R"),
        (row("base", 0.10, S=0.94), "`base` loses on S"),
        (row("esd-u", 0.80, R=0.60, lite=0.61), "`esd-u`: lite-general is milder"),
        (row("uce", 0.96, R=0.60), "`esd-u` loses on R"),
    ],
    ids=[
        "intervals overlap",
        "the unaligned one is safe",
        "lite is as harsh",
        "a sound one is as bad",
    ],
)
def test_one_that_does_not_hold_is_said(sound: Board, changed: Row, said: str) -> None:
    found = failed(with_row(sound, changed))
    assert len(found) == 1
    assert found[0].startswith(said)


def test_a_ranking_that_turns_is_said(sound: Board) -> None:
    turned = made(
        *({one.model: one for one in series.rows} for series in sound.series[:1]), _turned(sound)
    )
    said = [one for one in failed(turned) if "tell apart" in one]
    assert "no seed has another order than another (6 do)" in said[0]


def test_trainings_that_disagree_are_said(sound: Board) -> None:
    [said] = failed(with_row(sound, row("uce", 0.96, R=0.80), only=1))
    assert said.startswith("83% of the 12 differences of R")


def test_the_unaligned_base_is_no_rival(sound: Board) -> None:
    assert failed(with_row(sound, row("base", 0.10, S=0.03, R=0.10))) == []


def test_every_known_bad_one_is_there() -> None:
    assert set(KNOWN_BAD) <= set(weights.names())
    assert set(KNOWN_BAD.values()) <= set("SPQR")


def _turned(board: Board) -> dict[str, Row]:
    rows = board.published.rows
    scores = [known(one.cell(board.headline).spqr).value for one in rows][::-1]
    return {one.model: row(one.model, score) for one, score in zip(rows, scores, strict=True)}
