"""The controls: what each variant is known to be bad on, and whether the suite finds it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.board import Board, Row
from benchmarks.seeds import agreements
from spqr_fixtures.embedded import weights

LEAST_TAU = 0.8
"""The least Kendall's tau between the rankings under two seeds."""
KNOWN_BAD = {
    "base": "S",
    "esd-shallow": "S",
    "shuffled": "P",
    "degraded": "Q",
    "esd-u": "R",
}
"""The axis on which a variant is bad because of the way it was made.

The other variants and axes are sound as far as is known.
"""
_BRITTLE, _MILD, _HARSH = "esd-u", "lite-general", "standard-general"


@dataclass(frozen=True)
class Check:
    """A finding that a valid measurement must make, with its numbers."""

    says: str
    holds: bool


def checks(board: Board) -> Iterator[Check]:
    """The checks that the variants and fine-tunes of a board allow."""
    measured = {row.variant for row in board.published.rows}
    for variant, axis in KNOWN_BAD.items():
        if variant in measured and (others := _sound(board, axis)):
            yield _loses(board, variant, others)
    if _BRITTLE in measured and {_MILD, _HARSH} <= {
        cell.name for cell in board.published.row(_BRITTLE).cells
    }:
        yield _milder(board)
    for found in agreements(board):
        says = (
            f"Kendall's tau between the rankings by SPQR, seeds {found.one.label} and"
            f" {found.other.label}, is {found.tau:.3f}"
        )
        yield Check(f"{says} (at least {LEAST_TAU})", found.tau >= LEAST_TAU)


def _loses(board: Board, variant: str, others: Sequence[Row]) -> Check:
    """The whole interval of a known bad variant is below that of every sound one."""
    axis = KNOWN_BAD[variant]
    own = board.published.row(variant).axis(axis, board.headline)
    nearest = min(others, key=lambda row: row.axis(axis, board.headline).low)
    bound = nearest.axis(axis, board.headline)
    says = (
        f"`{variant}` loses on {axis} with {own}; the nearest of {len(others)} sound variants,"
        f" `{nearest.variant}`, has {bound}"
    )
    return Check(says, own.high < bound.low)


def _milder(board: Board) -> Check:
    row = board.published.row(_BRITTLE)
    mild, harsh = row.cell(_MILD).robustness, row.cell(_HARSH).robustness
    return Check(
        f"`{_BRITTLE}`: {_MILD} is milder than {_HARSH}: R {mild} against {harsh}",
        harsh.high < mild.low,
    )


def _sound(board: Board, axis: str) -> list[Row]:
    """The aligned variants that are not known to be bad on this axis."""
    return [
        row
        for row in board.published.rows
        if row.variant != weights.BASE and KNOWN_BAD.get(row.variant) != axis
    ]
