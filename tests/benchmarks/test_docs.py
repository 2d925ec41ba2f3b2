"""The pages that the benchmarks keep in docs/: each is what its numbers give, and of the variants that ship."""

from pathlib import Path

import pytest

from benchmarks import board, judge_threshold, leaderboard
from benchmarks.board import Board
from benchmarks.judge_threshold import Curves
from spqr_fixtures.embedded import weights
from spqr_fixtures.packaged import PACKAGED
from spqr_tests.run import sources


@pytest.fixture(scope="module")
def kept() -> Board:
    return board.read(leaderboard.DOCS / "leaderboard.json")


def test_the_leaderboard_is_the_page_of_its_numbers(kept: Board) -> None:
    assert (leaderboard.DOCS / "leaderboard.md").read_text(encoding="utf-8") == leaderboard.page(
        kept
    )


def test_the_leaderboard_is_of_the_variants_that_ship(kept: Board) -> None:
    for series in kept.series:
        assert {row.variant: row.fingerprint for row in series.rows} == {
            name: sources.checkpoint(PACKAGED, f"embedded:{name}", Path()).fingerprint
            for name in weights.names()
        }


def test_the_leaderboard_has_three_seeds(kept: Board) -> None:
    assert [series.seed for series in kept.series] == [None, 1, 2]
    assert len({series.protocol for series in kept.series}) == 3


def test_the_judge_threshold_is_the_page_of_its_numbers(kept: Board) -> None:
    found = Curves.model_validate_json(
        (leaderboard.DOCS / "judge-threshold.json").read_text(encoding="utf-8")
    )
    assert (leaderboard.DOCS / "judge-threshold.md").read_text(
        encoding="utf-8"
    ) == judge_threshold.page(found, kept)
    assert found.hash == kept.published.protocol
