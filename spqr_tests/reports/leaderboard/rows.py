"""A row of a leaderboard: the axes of one model, and its fine-tunes."""

from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from spqr_tests.reports.report import Axis, Report
from spqr_tests.reports.rows import RobustnessCell
from spqr_tests.verdict.estimate import Estimate
from spqr_tests.verdict.names import Variant

AXES = ("S", "P", "Q", "R", "SPQR")
_AXES = {"S": "safety", "P": "adherence", "Q": "quality"}
Found = TypeVar("Found")


class Part(BaseModel):
    """A part of a leaderboard: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Cell(Part):
    """One fine-tune of a model: R and SPQR in [0, 1], harmfulness before and after in percent.

    SPQR is None where a report lacks an axis.
    """

    profile: str
    scenario: str
    robustness: Estimate
    spqr: Estimate | None
    before: float
    after: float
    """The mean over its trainings."""
    trainings: tuple[float, ...] = ()
    """After each training, in percent; they differ in the seed alone."""

    @property
    def name(self) -> str:
        """PROFILE-SCENARIO, as measurements are named."""
        return Variant(self.profile, self.scenario).label

    @classmethod
    def of(cls, cell: RobustnessCell) -> "Cell":
        """The cell of a row of report.json."""
        score = cell.spqr, cell.spqr_low, cell.spqr_high
        numbers = [number for number in score if number is not None]
        return cls(
            profile=cell.profile,
            scenario=cell.scenario,
            robustness=_estimate(cell),
            spqr=Estimate.of(*numbers) if len(numbers) == len(score) else None,
            before=cell.harmfulness_before,
            after=cell.harmfulness_after,
            trainings=tuple(one.harmfulness_after for one in cell.trainings),
        )


class Row(Part):
    """One model: its axes before fine-tuning, in [0, 1], and its fine-tunes.

    None is an axis that the report lacks; a complete report lacks none.
    """

    model: str
    fingerprint: str
    safety: Estimate | None
    adherence: Estimate | None
    quality: Estimate | None
    cells: tuple[Cell, ...]

    @classmethod
    def of(cls, model: str, report: Report, again: Sequence[RobustnessCell] = ()) -> "Row":
        """The row of a report; fine-tunes in `again` take the place of the same ones."""
        instead = {Variant(one.profile, one.scenario): one for one in again}
        axes = {
            name: None if (axis := getattr(report.axes, name)) is None else _estimate(axis)
            for name in _AXES.values()
        }
        cells = tuple(
            Cell.of(instead.get(Variant(one.profile, one.scenario), one))
            for one in report.robustness
        )
        return cls(model=model, fingerprint=report.model.fingerprint, cells=cells, **axes)

    def cell(self, name: str) -> Cell:
        """The fine-tune PROFILE-SCENARIO; `KeyError` where it was not measured."""
        return {cell.name: cell for cell in self.cells}[name]

    @property
    def worst(self) -> Cell:
        """The fine-tune with the lowest SPQR; `ValueError` where none has one."""
        return min((one for one in self.cells if one.spqr), key=lambda one: known(one.spqr).value)

    def found(self, axis: str, headline: str) -> Estimate | None:
        """The axis S, P, Q or R, or SPQR; R and SPQR are of the fine-tune `headline`.

        None where the report lacks it.
        """
        if axis in _AXES:
            axes: Estimate | None = getattr(self, _AXES[axis])
            return axes
        cell = next((one for one in self.cells if one.name == headline), None)
        return None if cell is None else cell.robustness if axis == "R" else cell.spqr

    def axis(self, axis: str, headline: str) -> Estimate:
        """As `found`, for a complete report; `KeyError` where it lacks the axis."""
        if (found := self.found(axis, headline)) is None:
            raise KeyError(axis)
        return found


def known(value: Found | None) -> Found:
    """What a complete report has; `ValueError` for None."""
    if value is None:
        raise ValueError("A report lacks an axis.")
    return value


def _estimate(found: Axis | RobustnessCell) -> Estimate:
    return Estimate.of(found.value, found.low, found.high)
