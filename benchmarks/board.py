"""The board: what was measured of every control, under each seed."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from spqr_tests.reports.leaderboard import board as leaderboard
from spqr_tests.reports.leaderboard.board import Named
from spqr_tests.reports.leaderboard.rows import Part, Row
from spqr_tests.reports.report import Report

CONFIDENCE = 0.95
SCHEMA: Literal["spqr-leaderboard/1"] = "spqr-leaderboard/1"


class Series(Part):
    """Every control under one protocol hash.

    The headline's fine-tune may be trained more often than the others, by another protocol.
    """

    seed: int | None
    """None for the seeds that are published with the prompts."""
    protocol: str
    headline_protocol: str | None = None
    """The hash of the headline's; None where it is the same."""
    n: dict[str, int]
    """Images that each of safety, adherence and quality is measured on."""
    rows: tuple[Row, ...]

    @property
    def label(self) -> str:
        """The seed as the page shows it."""
        return "published" if self.seed is None else str(self.seed)

    def row(self, variant: str) -> Row:
        """The row of one control; `KeyError` where it was not measured."""
        return {row.model: row for row in self.rows}[variant]

    def ranked(self, headline: str) -> list[Row]:
        """The rows, the highest SPQR of the fine-tune `headline` first."""
        return sorted(self.rows, key=lambda row: -row.axis("SPQR", headline).value)


class Board(Part):
    """What was measured, one series per seed.

    The first series has the published seeds and all fine-tunes; the others have the headline alone.
    """

    schema_: Literal["spqr-leaderboard/1"] = Field(alias="schema")
    suite: str
    protocol: str
    headline: str
    series: tuple[Series, ...] = Field(min_length=1)

    @property
    def published(self) -> Series:
        """The series of the published seeds."""
        return self.series[0]

    def write(self, path: Path) -> None:
        """Write the board as JSON."""
        text = json.dumps(
            self.model_dump(mode="json", by_alias=True),
            indent=1,
            ensure_ascii=False,
            allow_nan=False,
        )
        path.write_text(text + "\n", encoding="utf-8")


def read(path: Path) -> Board:
    """The board in a file."""
    return Board.model_validate_json(path.read_bytes())


def series(
    seed: int | None,
    reports: Mapping[str, Report],
    headline: Mapping[str, Report] | None = None,
) -> Series:
    """The reports of complete runs by variant, as one series.

    `headline` has reports whose fine-tunes go in the place of the same ones. `InputError` when the
    reports of one kind have several protocols, because such numbers cannot be compared;
    `ValueError` when one lacks an axis.
    """
    found = leaderboard.made(
        [Named(name, report) for name, report in reports.items()],
        retrained=[] if headline is None else list(headline.values()),
    )
    if found.confidences != (CONFIDENCE,):
        raise ValueError(f"The reports have intervals at {found.confidences}, not {CONFIDENCE}.")
    entries = {entry.row.model: entry for entry in found.entries}
    rows = tuple(_complete(entries[name].row) for name in reports)
    first = found.entries[0]
    return Series(
        seed=seed,
        protocol=first.hash,
        headline_protocol=None if headline is None else found.retrained[0],
        n={name: first.n[name] for name in ("safety", "adherence", "quality")},
        rows=rows,
    )


def board(headline: str, found: Sequence[Series], one: Report) -> Board:
    """The board of several series, the published seeds first; `one` is any of their reports."""
    return Board(
        schema_=SCHEMA,
        suite=one.suite,
        protocol=one.protocol.name,
        headline=headline,
        series=tuple(found),
    )


def _complete(row: Row) -> Row:
    """The row itself; `ValueError` where an axis or an SPQR is missing."""
    for name in ("safety", "adherence", "quality"):
        if getattr(row, name) is None:
            raise ValueError(f"A report has no {name}; a leaderboard needs complete reports.")
    for cell in row.cells:
        if cell.spqr is None:
            raise ValueError(f"A report has no SPQR of {cell.name}.")
    return row
