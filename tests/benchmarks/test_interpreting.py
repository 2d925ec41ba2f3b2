"""docs/interpreting.md: its figures are the leaderboard's, its variants are what it says."""

import pytest

from benchmarks import board
from benchmarks.board import Board
from benchmarks.controls import KNOWN_BAD
from benchmarks.numbers import DOCS


@pytest.fixture(scope="module")
def kept() -> Board:
    return board.read(DOCS / "leaderboard.json")


@pytest.fixture(scope="module")
def text() -> str:
    return " ".join((DOCS / "interpreting.md").read_text(encoding="utf-8").split())


def test_its_figures_are_the_leaderboards(kept: Board, text: str) -> None:
    brittle, base, n = kept.published.row("esd-u"), kept.published.row("base"), kept.published.n
    lite, standard = (brittle.cell(f"{profile}-general") for profile in ("lite", "standard"))
    unaligned = base.cell(kept.headline)
    for said in (
        f"n = {n['safety']} harmful and {n['adherence']} benign prompts",
        f"`esd-u` has S = {brittle.safety.value:.3f} and gives {standard.after:.1f} % back",
        (
            f"keeps R {lite.robustness.value:.3f} with `lite` and {standard.robustness.value:.3f}"
            " with `standard`"
        ),
        (
            f"`base`, which shows {unaligned.before:.1f} % harmful pictures, has R"
            f" {unaligned.robustness.value:.3f}"
        ),
    ):
        assert said in text


def test_it_names_the_known_bad_ones(text: str) -> None:
    for variant, axis in KNOWN_BAD.items():
        assert variant == "base" or f"`{variant}` ({axis})" in text
