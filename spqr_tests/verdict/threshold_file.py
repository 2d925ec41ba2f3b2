"""Reads a `thresholds.toml`.

Every threshold has a reason, and an unknown key is an error: a misspelt key must not leave a
default in effect.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from spqr_tests import files, quotes
from spqr_tests.errors import InputError
from spqr_tests.verdict import curve_table
from spqr_tests.verdict.curve_table import CurveTable
from spqr_tests.verdict.names import AFTER, AXES
from spqr_tests.verdict.thresholds import (
    DEFAULT_CONFIDENCE,
    DEFAULT_TOLERANCE,
    MOST_BEFORE,
    MOST_DISTANCE,
    Direction,
    ProtocolThresholds,
    Severity,
    Threshold,
    ThresholdError,
    suggestion,
)

_EXAMPLES = dict.fromkeys(AXES, 0.8)
"""Bounds for a protocol that has none yet."""
_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Harmfulness = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
_Drift = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]
_Distance = Annotated[float, Field(ge=0, le=MOST_DISTANCE, allow_inf_nan=False)]
_Confidence = Annotated[float, Field(gt=0.5, lt=1)]
_Tolerance = Annotated[float, Field(ge=0, lt=1)]
_Margin = Annotated[float, Field(gt=0, lt=1)]
_Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
_Cell = Annotated[str, StringConstraints(pattern=r"^[^-\s]+(-[^-\s]+)+$")]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Bound(_Table):
    """A bound on one measurement, with the reason for it."""

    min: _Share | None = None
    """The least value of the axis."""
    reason: _Reason
    """Why the bound has this value; it is required, and quoted when the bound is not met."""
    confidence: _Confidence = DEFAULT_CONFIDENCE
    """The confidence of the measurement's two-sided interval."""
    tolerance: _Tolerance = DEFAULT_TOLERANCE
    """The largest loss since an earlier version that does not count, in the unit of the axis."""
    margin: _Margin | None = None
    """The loss since an earlier version that must be excluded, in the unit of the axis."""
    severity: Severity = "fail"
    """What a miss leads to: "fail", or "warn", which is reported and never decides the release."""
    improves_on_baseline: _Tolerance | None = None
    """The gain since an earlier version that must be shown, in the unit of the axis."""

    def threshold(self, bound: float | None = None) -> Threshold:
        """The table's threshold, with another bound if one is given."""
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
            self.margin,
            self.severity,
            self.improves_on_baseline,
        )


class _HarmfulnessBound(Bound):
    """A least value of the axis, or the greatest harmfulness."""

    max: _Harmfulness | None = None
    """The greatest harmfulness in percent, in place of `min`."""


class _SafetyTable(_HarmfulnessBound):
    """A least value of the axis, or the greatest harmfulness."""

    categories: _HarmfulnessBound | None = None
    """The bound of each category. Without it, safety's have that of the whole, and after's none."""


class _QualityTable(Bound):
    """A least Q, or the greatest distance."""

    max: _Distance | None = None
    """The greatest distance (FID, or the protocol's), in place of `min`."""


class _DriftBound(Bound):
    """A least R, or the greatest drift."""

    max: _Drift | None = None
    """The greatest drift in percentage points, in place of `min`."""


class _RobustnessTable(_DriftBound):
    """A least R, or the greatest drift, of each fine-tune."""

    categories: _DriftBound | None = None
    """The bound of each category's drift; without it none is decided."""
    max_before: _Harmfulness = MOST_BEFORE
    """The harmfulness before fine-tuning, in percent, above which R says nothing."""
    # `_check` checks a minimum's range.
    cells: dict[_Cell, _Drift] = Field(default_factory=dict)
    """Other bounds by variant, such as standard-general = 0.7, of the kind that the table has."""
    curve: CurveTable | None = None
    """A bound on the drift at the kept steps of a curve; without it none is decided."""


class ProtocolTable(_Table):
    """What a release must reach by one protocol."""

    # Optional, so that one protocol's unfinished table does not stop a run of another protocol.
    safety: _SafetyTable | None = None
    """The bound of S, by which each category is decided too."""
    adherence: Bound | None = None
    """The bound of P."""
    quality: _QualityTable | None = None
    """The bound of Q."""
    robustness: _RobustnessTable | None = None
    """The bound of R, for each fine-tune."""
    after: _SafetyTable | None = None
    """The bound of harmfulness after each fine-tune; without it none is decided."""
    spqr: Bound | None = None
    """The bound of SPQR, for each fine-tune."""


@dataclass(frozen=True)
class Thresholds:
    """A thresholds file."""

    path: Path
    tables: Mapping[str, ProtocolTable]
    """By protocol name."""

    def protocol(self, name: str) -> ProtocolThresholds:
        """The thresholds of the protocol `name`; ThresholdError unless the file has all five."""
        if name not in self.tables:
            raise ThresholdError(
                f"{self.path} has no thresholds for the protocol"
                f" {quotes.shown(name)}{suggestion(name, self.tables)}: it has"
                f" {_listed(self.tables) or 'none at all'}. Add these lines, with bounds and"
                f" reasons of your own, to ./thresholds.toml:",
                *_lines(name),
            )
        table = self.tables[name]
        bounds: dict[str, Bound] = {}
        for axis in AXES:
            bound = getattr(table, axis)
            if bound is None:
                raise ThresholdError(
                    f"{self.path}: {_dotted((name, axis))} is missing; a protocol needs a threshold"
                    f" for each of {_listed(AXES)}."
                )
            bounds[axis] = bound
        robustness, after = table.robustness, table.after
        cells = robustness.cells if robustness else {}
        categories = table.safety.categories if table.safety else None
        return ProtocolThresholds(
            protocol=name,
            axes={axis: bound.threshold() for axis, bound in bounds.items()},
            categories=_threshold(categories),
            cells={cell: bounds["robustness"].threshold(bound) for cell, bound in cells.items()},
            drift_categories=_threshold(robustness and robustness.categories),
            after=_threshold(after),
            after_categories=_threshold(after and after.categories),
            curve=robustness.curve if robustness else None,
            max_before=robustness.max_before if robustness else MOST_BEFORE,
        )


def _threshold(bound: Bound | None) -> Threshold | None:
    return None if bound is None else bound.threshold()


def _lines(protocol: str) -> Iterator[str]:
    """Thresholds for a protocol, as TOML."""
    for axis, bound in _EXAMPLES.items():
        yield from ("", f"[{protocol}.{axis}]", f"min = {bound}")
        yield f'reason = "why {axis} must reach it"'


def load(path: Path) -> Thresholds:
    """Read a thresholds file.

    It has a table for each protocol and axis, with `min` or `max`, `reason`, and optionally
    `confidence` and `tolerance`. All tables are checked, including those of protocols that the run
    does not use. ThresholdError for a file that is missing or not TOML, and for an unknown, missing
    or unusable key.
    """
    try:
        document = files.toml(path, "The thresholds file")
    except InputError as error:
        raise ThresholdError(str(error)) from error
    return Thresholds(
        path, {name: _table(path, name, content) for name, content in document.items()}
    )


def _table(path: Path, protocol: str, content: object) -> ProtocolTable:
    try:
        table = ProtocolTable.model_validate(content)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
    else:
        _check(path, protocol, table)
        return table
    # Pydantic reports a misspelt key twice, as an unknown key and as a missing one. The unknown key
    # says more.
    problem = next((item for item in problems if item["type"] == "extra_forbidden"), problems[0])
    # For a bad key of a mapping, as opposed to a bad value, pydantic adds the part "[key]".
    key = (protocol, *(str(part) for part in problem["loc"] if part != "[key]"))
    raise ThresholdError(f"{path}: {_explained(problem, key)}.")


def _check(path: Path, protocol: str, table: ProtocolTable) -> None:
    """Refuse combinations of keys, which pydantic's fields do not check."""
    bounds: dict[tuple[str, ...], Bound | None] = {
        (protocol, name): getattr(table, name) for name in (*AXES, AFTER)
    }
    for key, bound in list(bounds.items()):
        bounds[*key, "categories"] = getattr(bound, "categories", None)
    for key, bound in bounds.items():
        if bound is not None:
            _check_bound(path, key, bound)
    if table.robustness is not None and table.robustness.max is None:
        for cell, least in table.robustness.cells.items():
            if not 0 <= least <= 1:
                key = (protocol, "robustness", "cells", cell)
                raise ThresholdError(
                    f"{path}: {_dotted(key)} must be a number between 0 and 1, as min is, got"
                    f" {least:g}."
                )


def _check_bound(path: Path, key: tuple[str, ...], bound: Bound) -> None:
    """Refuse a table with both bounds, and one with none."""
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


def _explained(problem: Mapping[str, Any], key: tuple[str, ...]) -> str:
    """What is wrong with the key, as a sentence without its full stop."""
    kind, allowed, got = (
        problem["type"],
        _allowed(key[1:-1]),
        quotes.cut(json.dumps(problem["input"], default=str)),
    )
    match key:
        case (_, ("adherence" | "spqr") as axis, "max") if kind == "extra_forbidden":
            return (
                f"{_dotted(key)} does not apply: {axis} needs min, and only harmfulness (safety),"
                " drift (robustness) and the distance (quality) can have a max"
            )
    if kind == "extra_forbidden":
        return (
            f"unknown key {_dotted(key)}{suggestion(key[-1], allowed)}; allowed here are"
            f" {_listed(allowed)}"
        )
    if kind == "missing":
        return f"{_dotted(key)} is missing; allowed here are {_listed(allowed)}"
    if kind == "string_pattern_mismatch":
        return (
            f"{_dotted(key)} is not the name of a cell; expected profile-scenario, such as"
            " standard-general"
        )
    return f"{_dotted(key)} must be {_expected(key)}, got {got}"


_WANTED = {
    "min": "a number between 0 and 1",
    "confidence": "a number above 0.5 and below 1",
    "margin": "a number above 0 and below 1, in the axis's own unit",
    "tolerance": "a number from 0 and below 1, in the axis's own unit",
    "severity": '"fail" or "warn"',
    "improves_on_baseline": "a number from 0 and below 1, in the axis's own unit",
    "reason": "a sentence that says why the threshold has this value",
    "cells": "a table of numbers by profile-scenario",
}
"""What a key must be, where its table does not matter."""


def _expected(key: tuple[str, ...]) -> str:
    what = curve_table.EXPECTED.get(key[-1], f"a table of {_listed(_allowed(key[1:]))}")
    match key:
        case (_, "safety" | "after", *_, "max") | (*_, "max_before"):
            what = "a harmfulness, between 0 and 100 (percent)"
        case (_, "robustness", *_, "max"):
            what = "a drift, between -100 and 100 (percentage points)"
        case (_, "quality", "max"):
            what = f"a distance (FID, or the protocol's), a number from 0 to {MOST_DISTANCE:,}"
        case (*_, "cells", _):
            what = (
                "a number between 0 and 1 with min, or between -100 and 100 (percentage points)"
                " with max"
            )
        case (*_, last) if last in _WANTED:
            what = _WANTED[last]
    return what


def _allowed(inside: tuple[str, ...]) -> tuple[str, ...]:
    """The keys that the table at the path `inside` of a protocol's table may have."""
    tables: dict[tuple[str, ...], type[BaseModel]] = {
        (): ProtocolTable,
        ("safety",): _SafetyTable,
        ("safety", "categories"): _HarmfulnessBound,
        ("quality",): _QualityTable,
        ("robustness",): _RobustnessTable,
        ("robustness", "categories"): _DriftBound,
        ("robustness", "curve"): CurveTable,
        ("after",): _SafetyTable,
        ("after", "categories"): _HarmfulnessBound,
        ("adherence",): Bound,
        ("spqr",): Bound,
    }
    fields = tuple(tables[inside].model_fields) if inside in tables else ()
    return (
        ("min", "max", *(name for name in fields if name not in ("min", "max")))
        if "max" in fields
        else fields
    )


def _dotted(key: Iterable[str]) -> str:
    """A TOML key as written in a file, with quotes where they are necessary."""
    parts = (quotes.cut(part) for part in key)
    return ".".join(part if re.fullmatch(r"[\w-]+", part) else json.dumps(part) for part in parts)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
