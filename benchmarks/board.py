"""The board: what was measured of every control, under each seed."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from benchmarks.estimate import Estimate
from spqr_tests.reports.report import Axis, Report
from spqr_tests.reports.rows import RobustnessCell

CONFIDENCE = 0.95
SCHEMA: Literal["spqr-leaderboard/1"] = "spqr-leaderboard/1"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Cell(_Part):
    """One fine-tune of a control: R and SPQR in [0, 1], harmfulness before and after in percent."""

    profile: str
    scenario: str
    robustness: Estimate
    spqr: Estimate
    before: float
    after: float
    """The mean over its trainings."""
    trainings: tuple[float, ...] = ()
    """After each training, in percent; they differ in the seed alone."""

    @property
    def name(self) -> str:
        """PROFILE-SCENARIO, as measurements are named."""
        return f"{self.profile}-{self.scenario}"


class Row(_Part):
    """One control: its axes before fine-tuning, in [0, 1], and its fine-tunes."""

    variant: str
    fingerprint: str
    safety: Estimate
    adherence: Estimate
    quality: Estimate
    cells: tuple[Cell, ...]

    def cell(self, name: str) -> Cell:
        """The fine-tune PROFILE-SCENARIO; `KeyError` where it was not measured."""
        return {cell.name: cell for cell in self.cells}[name]

    @property
    def worst(self) -> Cell:
        """The fine-tune with the lowest SPQR."""
        return min(self.cells, key=lambda cell: cell.spqr.value)

    def axis(self, axis: str, headline: str) -> Estimate:
        """The axis S, P, Q or R, or SPQR; R and SPQR are of the fine-tune `headline`."""
        match axis:
            case "S":
                return self.safety
            case "P":
                return self.adherence
            case "Q":
                return self.quality
            case "R":
                return self.cell(headline).robustness
        return self.cell(headline).spqr


class Series(_Part):
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
        return {row.variant: row for row in self.rows}[variant]

    def ranked(self, headline: str) -> list[Row]:
        """The rows, the highest SPQR of the fine-tune `headline` first."""
        return sorted(self.rows, key=lambda row: -row.cell(headline).spqr.value)


class Board(_Part):
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

    `headline` has reports whose fine-tunes go in the place of the same ones. `ValueError` when the
    reports of one kind have several protocols, because such numbers cannot be compared.
    """
    found_hash = _hash(reports)
    again = {} if headline is None else {name: one.robustness for name, one in headline.items()}
    axes = next(iter(reports.values())).axes
    found = {
        name: _present(getattr(axes, name), name).n for name in ("safety", "adherence", "quality")
    }
    rows = tuple(_row(name, report, again.get(name, ())) for name, report in reports.items())
    return Series(
        seed=seed,
        protocol=found_hash,
        headline_protocol=None if headline is None else _hash(headline),
        n=found,
        rows=rows,
    )


def _hash(reports: Mapping[str, Report]) -> str:
    hashes = {report.protocol.hash for report in reports.values()}
    if len(hashes) != 1:
        raise ValueError(
            f"The reports have {len(hashes)} protocols ({', '.join(sorted(hashes))}); expected one."
        )
    return hashes.pop()


def board(headline: str, found: Sequence[Series], one: Report) -> Board:
    """The board of several series, the published seeds first; `one` is any of their reports."""
    return Board(
        schema_=SCHEMA,
        suite=one.suite,
        protocol=one.protocol.name,
        headline=headline,
        series=tuple(found),
    )


def _row(variant: str, report: Report, headline: Sequence[RobustnessCell]) -> Row:
    again = {(one.profile, one.scenario): one for one in headline}
    axes = {
        name: _estimate(_present(getattr(report.axes, name), name))
        for name in ("safety", "adherence", "quality")
    }
    return Row(
        variant=variant,
        fingerprint=report.model.fingerprint,
        cells=tuple(
            _cell(again.get((one.profile, one.scenario), one)) for one in report.robustness
        ),
        **axes,
    )


def _cell(cell: RobustnessCell) -> Cell:
    return Cell(
        profile=cell.profile,
        scenario=cell.scenario,
        robustness=_estimate(cell),
        spqr=_bounded(cell.spqr, cell.spqr_low, cell.spqr_high, cell.spqr_confidence),
        before=cell.harmfulness_before,
        after=cell.harmfulness_after,
        trainings=tuple(one.harmfulness_after for one in cell.trainings),
    )


def _estimate(found: Axis | RobustnessCell) -> Estimate:
    return _bounded(found.value, found.low, found.high, found.confidence)


def _bounded(
    value: float | None, low: float | None, high: float | None, confidence: float | None
) -> Estimate:
    if value is None or low is None or high is None:
        raise ValueError(
            "A report has a fine-tune without SPQR; a leaderboard needs complete reports."
        )
    if confidence != CONFIDENCE:
        raise ValueError(
            f"A report has an interval at {confidence}; a leaderboard needs {CONFIDENCE}, which the"
            " packaged thresholds ask for."
        )
    return Estimate(value=value, low=low, high=high)


def _present(axis: Axis | None, name: str) -> Axis:
    if axis is None:
        raise ValueError(f"A report has no {name}; a leaderboard needs complete reports.")
    return axis
