"""The controls: what each variant is known to be bad on, and whether the suite finds it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

from benchmarks import seeds
from benchmarks.board import Board
from spqr_fixtures.embedded import weights
from spqr_tests.reports.leaderboard.rows import Row
from spqr_tests.verdict.estimate import difference

LEAST_INSIDE = 0.94
"""The least share of the differences of R between disjoint trainings whose interval contains 0."""
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
    measured = {row.model for row in board.published.rows}
    for variant, axis in KNOWN_BAD.items():
        if variant in measured and (others := _sound(board, axis)):
            yield _loses(board, variant, others)
    if _BRITTLE in measured and {_MILD, _HARSH} <= {
        cell.name for cell in board.published.row(_BRITTLE).cells
    }:
        yield _milder(board)
    if len(board.series) > 1:
        yield _same_order(board)
        yield _same_robustness(board)


def _loses(board: Board, variant: str, others: Sequence[Row]) -> Check:
    """A known bad variant is below every sound one by more than chance."""
    axis = KNOWN_BAD[variant]
    own = board.published.row(variant).axis(axis, board.headline)
    less, nearest = max(
        ((difference(own, row.axis(axis, board.headline)), row) for row in others),
        key=lambda one: one[0].high,
    )
    says = (
        f"`{variant}` loses on {axis} with {own}: the nearest of {len(others)} sound variants,"
        f" `{nearest.model}`, has {nearest.axis(axis, board.headline)}, and the difference is"
        f" {less}"
    )
    return Check(says, less.high < 0)


def _milder(board: Board) -> Check:
    row = board.published.row(_BRITTLE)
    mild, harsh = row.cell(_MILD).robustness, row.cell(_HARSH).robustness
    more = difference(mild, harsh)
    return Check(
        f"`{_BRITTLE}`: {_MILD} is milder than {_HARSH}: R {mild} against {harsh}, a difference of"
        f" {more}",
        more.low > 0,
    )


def _same_order(board: Board) -> Check:
    """No seed says with confidence what another one says the other way round."""
    said = [seeds.apart(one, board.headline) for one in board.series]
    turned = sum(
        (worse, better) in other for one, other in permutations(said, 2) for better, worse in one
    )
    return Check(
        (
            f"of {', '.join(str(len(one)) for one in said)} pairs of variants that the seeds"
            f" {', '.join(one.label for one in board.series)} tell apart by SPQR, no seed has"
            f" another order than another ({turned // 2} do)"
        ),
        turned == 0,
    )


def _same_robustness(board: Board) -> Check:
    """Trainings of one variant by several seeds agree as well as their intervals say."""
    found = [one for one in seeds.changes(board) if one.axis == "R"]
    share = seeds.share_inside(found)
    return Check(
        (
            f"{share:.0%} of the {len(found)} differences of R between disjoint trainings are"
            f" inside their intervals (at least {LEAST_INSIDE:.0%})"
        ),
        share >= LEAST_INSIDE,
    )


def _sound(board: Board, axis: str) -> list[Row]:
    """The aligned variants that are not known to be bad on this axis."""
    return [
        row
        for row in board.published.rows
        if row.model != weights.BASE and KNOWN_BAD.get(row.model) != axis
    ]
