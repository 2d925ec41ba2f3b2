"""What a release must reach, read from a `thresholds.toml`.

Every threshold has a reason beside it, and an unknown key is an error: a misspelt key must not
leave a default in its place.
"""

import difflib
import json
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from spqr_tests.verdict import names
from spqr_tests.verdict.names import AXES

DEFAULT_CONFIDENCE = 0.95
DEFAULT_TOLERANCE = 0.02
Direction = Literal["min", "max"]

_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Harmfulness = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
_Drift = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]
_Distance = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Confidence = Annotated[float, Field(gt=0.5, lt=1)]
_Tolerance = Annotated[float, Field(ge=0, lt=1)]
_Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
_Cell = Annotated[str, StringConstraints(pattern=r"^[^-\s]+(-[^-\s]+)+$")]


class ThresholdError(ValueError):
    """Thresholds that cannot be used: one sentence with the file, the key and what is allowed."""


@dataclass(frozen=True)
class Threshold:
    """The bound of one measurement, on which side of it a release must lie, the reason, the confidence, and what versions may differ by.

    With the direction "min" the bound is the least value of an axis, in [0, 1]; with "max" it is
    the greatest of what lies behind one: harmfulness in percent, drift in percentage points, FID.
    `confidence`, in (0.5, 1), is that of the measurement's two-sided interval: at .95, a checkpoint
    that sits exactly on the threshold passes in 2.5 % of runs. Whoever makes the measurement must
    apply it. `tolerance`, in [0, 1) of the axis whatever the direction, is the largest difference
    to an earlier version that does not count, however sure it is.
    """

    bound: float
    direction: Direction
    reason: str
    confidence: float = DEFAULT_CONFIDENCE
    tolerance: float = DEFAULT_TOLERANCE

    def __post_init__(self) -> None:
        if self.direction not in ("min", "max"):
            raise ThresholdError(
                f"The direction of a threshold must be min or max, got {self.direction!r}."
            )
        if self.direction == "min" and not 0 <= self.bound <= 1:
            raise ThresholdError(f"A minimum must be between 0 and 1, got {self.bound}.")
        if not math.isfinite(self.bound):
            raise ThresholdError(f"A maximum must be a finite number, got {self.bound}.")
        if not self.reason.strip():
            raise ThresholdError(f"The threshold {self.bound} needs a reason.")
        if not 0.5 < self.confidence < 1:
            raise ThresholdError(
                "The confidence of a threshold must be above 0.5 and below 1, got"
                f" {self.confidence}."
            )
        if not 0 <= self.tolerance < 1:
            raise ThresholdError(
                f"The tolerance of a threshold must be from 0 and below 1, got {self.tolerance}."
            )

    def met_by(self, value: float) -> bool:
        """Whether `value` lies on the right side of the bound, or on it."""
        return value >= self.bound if self.direction == "min" else value <= self.bound

    def missed_by(self, low: float, high: float) -> bool:
        """Whether nothing between `low` and `high` meets it."""
        return not self.met_by(low) and not self.met_by(high)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Bound(_Table):
    min: _Share | None = None
    reason: _Reason
    confidence: _Confidence = DEFAULT_CONFIDENCE
    tolerance: _Tolerance = DEFAULT_TOLERANCE

    def threshold(self, bound: float | None = None) -> Threshold:
        """The table's threshold, or one with another bound."""
        greatest: float | None = getattr(self, "max", None)
        least = self.min if greatest is None else greatest
        if least is None:
            raise ThresholdError("A threshold needs min or max.")
        direction: Direction = "min" if greatest is None else "max"
        return Threshold(
            least if bound is None else bound,
            direction,
            self.reason,
            self.confidence,
            self.tolerance,
        )


class _HarmfulnessBound(_Bound):
    max: _Harmfulness | None = None


class _SafetyTable(_HarmfulnessBound):
    categories: _HarmfulnessBound | None = None


class _QualityTable(_Bound):
    max: _Distance | None = None


class _RobustnessTable(_Bound):
    max: _Drift | None = None
    cells: dict[_Cell, _Drift] = Field(default_factory=dict)
    """Minima or maxima, as the table has; a minimum's range is checked by `_check`."""


class _ProtocolTable(_Table):
    # Optional here, so that one protocol's unfinished table does not stop a run of another.
    safety: _SafetyTable | None = None
    adherence: _Bound | None = None
    quality: _QualityTable | None = None
    robustness: _RobustnessTable | None = None
    spqr: _Bound | None = None


@dataclass(frozen=True)
class ProtocolThresholds:
    """The thresholds of one protocol, all five axes present."""

    protocol: str
    axes: Mapping[str, Threshold]
    """By axis, every one of `AXES`."""
    categories: Threshold | None
    """For each category of safety, when it differs from safety as a whole."""
    cells: Mapping[str, Threshold]
    """For robustness, by `profile-scenario`, where it differs from the axis."""

    def for_measurement(self, name: str) -> Threshold:
        """The threshold of a measurement's name: `safety`, `safety[unsafe]`, `robustness[standard-general]`.

        A cell or the categories' own threshold comes first, then the axis. ThresholdError for a
        name of no axis.
        """
        axis, subject = names.parse(name)
        if axis not in AXES:
            raise ThresholdError(
                f"No threshold applies to {name!r}{_suggestion(axis, AXES)}: the axes are"
                f" {_listed(AXES)}."
            )
        if axis == "safety" and subject and self.categories:
            return self.categories
        if axis == "robustness" and subject in self.cells:
            return self.cells[subject]
        return self.axes[axis]

    def unmatched(self, measured: Iterable[str]) -> tuple[str, ...]:
        """The cells that apply to none of these measurement names.

        Such a cell is misspelt, or of a profile that the protocol has not. Only the caller knows
        the protocol's profiles and scenarios; a cell that matches nothing should be an error there.
        """
        wanted = {names.parse(name) for name in measured}
        return tuple(cell for cell in self.cells if names.Name("robustness", cell) not in wanted)


@dataclass(frozen=True)
class Thresholds:
    """A thresholds file."""

    path: Path
    tables: Mapping[str, _ProtocolTable]
    """By protocol name."""

    def protocol(self, name: str) -> ProtocolThresholds:
        """The thresholds of the protocol `name`; ThresholdError when the file has not got all five."""
        if name not in self.tables:
            raise ThresholdError(
                f"{self.path} has no thresholds for the protocol"
                f" {name!r}{_suggestion(name, self.tables)}: it has"
                f" {_listed(self.tables) or 'none at all'}."
            )
        table = self.tables[name]
        bounds: dict[str, _Bound] = {}
        for axis in AXES:
            bound = getattr(table, axis)
            if bound is None:
                raise ThresholdError(
                    f"{self.path}: {_dotted((name, axis))} is missing; a protocol needs a threshold"
                    f" for each of {_listed(AXES)}."
                )
            bounds[axis] = bound
        cells = table.robustness.cells if table.robustness else {}
        categories = table.safety.categories if table.safety else None
        return ProtocolThresholds(
            protocol=name,
            axes={axis: bound.threshold() for axis, bound in bounds.items()},
            categories=categories.threshold() if categories else None,
            cells={cell: bounds["robustness"].threshold(bound) for cell, bound in cells.items()},
        )


def load(path: Path) -> Thresholds:
    """Read a thresholds file, a table per protocol and axis with `min` or `max`, `reason` and optionally `confidence` and `tolerance`.

    All tables are checked, also those of protocols that are not asked for. ThresholdError for a
    file that is missing, is not TOML, or has an unknown, missing or unusable key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ThresholdError(f"The thresholds file {path} does not exist.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ThresholdError(f"The thresholds file {path} cannot be read: {error}.") from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where = f"at line {text.count(chr(10)) + 1}, the end of the document"
        raise ThresholdError(
            f"{path} is not TOML: {str(error).replace('at end of document', where)}."
        ) from None
    return Thresholds(
        path, {name: _table(path, name, content) for name, content in document.items()}
    )


def _table(path: Path, protocol: str, content: object) -> _ProtocolTable:
    try:
        table = _ProtocolTable.model_validate(content)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
    else:
        _check(path, protocol, table)
        return table
    # A misspelt key is reported twice, as unknown and as missing what was meant: the unknown one
    # says more.
    problem = next((item for item in problems if item["type"] == "extra_forbidden"), problems[0])
    # pydantic marks a bad key of a mapping, as against a bad value, by a last part that is no key.
    key = (protocol, *(str(part) for part in problem["loc"] if part != "[key]"))
    raise ThresholdError(f"{path}: {_explained(problem, key)}.")


def _check(path: Path, protocol: str, table: _ProtocolTable) -> None:
    """Refuse what only several keys together show."""
    bounds: dict[tuple[str, ...], _Bound | None] = {
        (protocol, axis): getattr(table, axis) for axis in AXES
    }
    if table.safety is not None:
        bounds[protocol, "safety", "categories"] = table.safety.categories
    for key, bound in bounds.items():
        if bound is None:
            continue
        greatest = getattr(bound, "max", None)
        if bound.min is not None and greatest is not None:
            raise ThresholdError(
                f"{path}: {_dotted(key)} has both min and max; a threshold is one of them."
            )
        if bound.min is None and greatest is None:
            if "max" in type(bound).model_fields:
                raise ThresholdError(
                    f"{path}: {_dotted(key)} has neither min nor max; a threshold is one of them."
                )
            raise ThresholdError(
                f"{path}: {_dotted((*key, 'min'))} is missing; allowed here are"
                f" {_listed(_allowed(key[1:]))}."
            )
    if table.robustness is not None and table.robustness.max is None:
        for cell, least in table.robustness.cells.items():
            if not 0 <= least <= 1:
                key = (protocol, "robustness", "cells", cell)
                raise ThresholdError(
                    f"{path}: {_dotted(key)} must be a number between 0 and 1, as min is, got"
                    f" {least:g}."
                )


def _explained(problem: Mapping[str, Any], key: tuple[str, ...]) -> str:
    """What is wrong with the key, as a sentence without its full stop."""
    kind, allowed, got = (
        problem["type"],
        _allowed(key[1:-1]),
        json.dumps(problem["input"], default=str),
    )
    match key:
        case (_, ("adherence" | "spqr") as axis, "max") if kind == "extra_forbidden":
            return (
                f"{_dotted(key)} does not apply: {axis} takes min, and a max is one of harmfulness"
                " (safety), drift (robustness) or FID (quality)"
            )
    if kind == "extra_forbidden":
        return (
            f"unknown key {_dotted(key)}{_suggestion(key[-1], allowed)}; allowed here are"
            f" {_listed(allowed)}"
        )
    if kind == "missing":
        return f"{_dotted(key)} is missing; allowed here are {_listed(allowed)}"
    if kind == "string_pattern_mismatch":
        return (
            f"{_dotted(key)} is not the name of a cell, which is profile-scenario, such as"
            " standard-general"
        )
    return f"{_dotted(key)} must be {_expected(key)}, got {got}"


def _expected(key: tuple[str, ...]) -> str:
    what = f"a table of {_listed(_allowed(key[1:]))}"
    match key:
        case (*_, "min"):
            what = "a number between 0 and 1"
        case (_, "safety", *_, "max"):
            what = "a harmfulness, between 0 and 100 (percent)"
        case (_, "robustness", "max"):
            what = "a drift, between -100 and 100 (percentage points)"
        case (_, "quality", "max"):
            what = "an FID, a finite number from 0"
        case (*_, "cells", _):
            what = (
                "a number between 0 and 1 beside min, or between -100 and 100 (percentage points)"
                " beside max"
            )
        case (*_, "confidence"):
            what = "a number above 0.5 and below 1"
        case (*_, "tolerance"):
            what = "a number from 0 and below 1, in the axis's own unit"
        case (*_, "reason"):
            what = "a sentence that says why the threshold is what it is"
        case (*_, "cells"):
            what = "a table of numbers by profile-scenario"
    return what


def _allowed(inside: tuple[str, ...]) -> tuple[str, ...]:
    """The keys that a protocol's table, or the one at `inside` of it, may have."""
    tables: dict[tuple[str, ...], type[_Table]] = {
        (): _ProtocolTable,
        ("safety",): _SafetyTable,
        ("safety", "categories"): _HarmfulnessBound,
        ("quality",): _QualityTable,
        ("robustness",): _RobustnessTable,
        ("adherence",): _Bound,
        ("spqr",): _Bound,
    }
    fields = tuple(tables[inside].model_fields) if inside in tables else ()
    return (
        ("min", "max", *(name for name in fields if name not in ("min", "max")))
        if "max" in fields
        else fields
    )


def _dotted(key: Iterable[str]) -> str:
    """A TOML key as one would write it, quoted where it has to be."""
    return ".".join(part if re.fullmatch(r"[\w-]+", part) else json.dumps(part) for part in key)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _suggestion(name: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(names), n=1)
    return f" (did you mean {close[0]}?)" if close else ""
