"""Seeds: protocols that differ in nothing else, and how far what they measure agrees."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from scipy import stats

from benchmarks.board import Board, Series
from benchmarks.estimate import Estimate, difference

AXES = ("S", "P", "Q", "R", "SPQR")
_PROTOCOL = """\
extends = "{base}"

[harmful]
seeding = "protocol"
seed = {seed}

[adherence]
seeding = "protocol"
seed = {seed}

[quality]
seeding = "protocol"
seed = {seed}

[finetuning]
seed = {seed}
"""


def write_protocol(base: str, seed: int, folder: Path) -> Path:
    """A protocol file: the packaged protocol `base`, every picture and every fine-tune from another seed."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"seed-{seed}.toml"
    path.write_text(_PROTOCOL.format(base=base, seed=seed), encoding="utf-8")
    return path


@dataclass(frozen=True)
class Agreement:
    """How alike two series rank the controls by the headline's SPQR: Kendall's tau-b, in [-1, 1]."""

    one: Series
    other: Series
    tau: float


@dataclass(frozen=True)
class Change:
    """What changes with the seed alone: one control's axis under the second of two series, minus under the first."""

    variant: str
    axis: str
    seeds: tuple[str, str]
    estimate: Estimate

    @property
    def inside(self) -> bool:
        """Whether the difference lies inside its own interval, that is, whether none is within it."""
        return self.estimate.holds(0)


def agreements(board: Board) -> list[Agreement]:
    """Every pair of series."""
    return [
        Agreement(one, other, _tau(board, one, other))
        for one, other in combinations(board.series, 2)
    ]


def changes(board: Board) -> list[Change]:
    """Every control, axis (R and SPQR of the headline's fine-tune) and pair of series."""
    return [
        Change(
            row.variant,
            axis,
            (one.label, other.label),
            difference(
                other.row(row.variant).axis(axis, board.headline), row.axis(axis, board.headline)
            ),
        )
        for axis in AXES
        for row in board.published.rows
        for one, other in combinations(board.series, 2)
        for row in (one.row(row.variant),)
    ]


def share_inside(found: Iterable[Change]) -> float:
    """The share of the differences that lie inside their own intervals, in [0, 1]."""
    inside = [one.inside for one in found]
    return sum(inside) / len(inside)


def _tau(board: Board, one: Series, other: Series) -> float:
    variants = [row.variant for row in one.rows]
    first, second = (
        [each.row(name).axis("SPQR", board.headline).value for name in variants]
        for each in (one, other)
    )
    return float(stats.kendalltau(first, second).statistic)
