"""Seeds: protocols that differ in seeds alone, and how well their measurements agree."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from benchmarks.board import Board, Series
from spqr_tests.reports.leaderboard.rows import AXES
from spqr_tests.verdict import places
from spqr_tests.verdict.estimate import Estimate, difference

_TRAININGS = """\
extends = "{base}"

[finetuning]
replicates = {trainings}
"""
_PROTOCOL = """\
[harmful]
seeding = "protocol"
seed = {seed}

[adherence]
seeding = "protocol"
seed = {seed}

[quality]
seeding = "protocol"
seed = {seed}

"""


def write_protocol(base: str, seed: int | None, trainings: int, folder: Path) -> Path:
    """A protocol file: the packaged protocol `base` with so many trainings of each fine-tune.

    `seed` is for all images and fine-tunes; None leaves those of `base`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = _TRAININGS.format(base=base, trainings=trainings)
    if seed is not None:
        text += f"seed = {seed}\n\n{_PROTOCOL.format(seed=seed)}"
    path = folder / ("published.toml" if seed is None else f"seed-{seed}.toml")
    path.write_text(text, encoding="utf-8")
    return path


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


def apart(one: Series, headline: str) -> frozenset[tuple[str, str]]:
    """The pairs of controls, the better one first, whose SPQR differs by more than chance."""
    return places.apart(_scores(one, headline))


def ranks(one: Series, headline: str) -> dict[str, tuple[int, int]]:
    """The first and the last place that each control may have, from 1: ties are not broken."""
    return places.places(_scores(one, headline))


def _scores(one: Series, headline: str) -> dict[str, Estimate]:
    return {row.model: row.axis("SPQR", headline) for row in one.rows}


def changes(board: Board) -> list[Change]:
    """The changes of every control and axis between every pair of series.

    R and SPQR are of the headline's fine-tune.
    """
    return [
        Change(
            row.model,
            axis,
            (one.label, other.label),
            difference(
                other.row(row.model).axis(axis, board.headline), row.axis(axis, board.headline)
            ),
        )
        for axis in AXES
        for row in board.published.rows
        for one, other in combinations(board.series, 2)
        for row in (one.row(row.model),)
    ]


def share_inside(found: Iterable[Change]) -> float:
    """The share of the differences whose interval contains 0, in [0, 1]."""
    inside = [one.inside for one in found]
    return sum(inside) / len(inside)
