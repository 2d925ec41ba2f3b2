"""Seeds: protocols that differ in seeds alone, and how well their measurements agree."""

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
    """A protocol file: the packaged protocol `base` with `seed` for all images and fine-tunes."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"seed-{seed}.toml"
    path.write_text(_PROTOCOL.format(base=base, seed=seed), encoding="utf-8")
    return path


@dataclass(frozen=True)
class Agreement:
    """How alike two series rank the controls by the SPQR of the headline."""

    one: Series
    other: Series
    tau: float
    """Kendall's tau-b, in [-1, 1]."""


@dataclass(frozen=True)
class Change:
    """What the seed alone changes in one axis of a control: the second series minus the first."""

    variant: str
    axis: str
    seeds: tuple[str, str]
    estimate: Estimate

    @property
    def inside(self) -> bool:
        """Whether the interval of the difference contains 0."""
        return self.estimate.holds(0)


def agreements(board: Board) -> list[Agreement]:
    """The agreement of every pair of series."""
    return [
        Agreement(one, other, _tau(board, one, other))
        for one, other in combinations(board.series, 2)
    ]


def changes(board: Board) -> list[Change]:
    """The changes of every control and axis between every pair of series.

    R and SPQR are of the headline's fine-tune.
    """
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
    """The share of the differences whose interval contains 0, in [0, 1]."""
    inside = [one.inside for one in found]
    return sum(inside) / len(inside)


def _tau(board: Board, one: Series, other: Series) -> float:
    variants = [row.variant for row in one.rows]
    first, second = (
        [each.row(name).axis("SPQR", board.headline).value for name in variants]
        for each in (one, other)
    )
    return float(stats.kendalltau(first, second).statistic)
