"""Measurements over versions, in the order in which their reports are given."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from spqr_tests.errors import InputError
from spqr_tests.quotes import cut
from spqr_tests.reports import measurements
from spqr_tests.reports.comparable import Terms, at, shortcomings
from spqr_tests.reports.measurements import Measured
from spqr_tests.reports.report import Report
from spqr_tests.reports.tables import svg
from spqr_tests.reports.tables.page import Cell, Name, Page, Plot, Record, Table
from spqr_tests.reports.tables.svg import Point
from spqr_tests.verdict import names
from spqr_tests.verdict.names import Variant

SCHEMA = "spqr-history/1"
_LISTED = 12


@dataclass(frozen=True)
class Version:
    """One report of the history."""

    name: str
    report: Report
    found: dict[str, Measured]
    """By name."""
    breaks: tuple[str, ...]
    """Why its numbers do not compare with those of the version before; empty where they do."""
    remarks: tuple[str, ...]
    """What a reader must know of it besides."""


@dataclass(frozen=True)
class History:
    """Versions with the measurements that are shown of them."""

    versions: tuple[Version, ...]
    shown: tuple[str, ...]
    """Names of measurements."""


def made(reports: Sequence[tuple[str, Report]], asked: Sequence[str] = ()) -> History:
    """The history of some reports, each with a name for people.

    `asked` names the measurements; without it they are the axes, and R and SPQR of the headline of
    the last report. `InputError` for one that no report has.
    """
    found = [{one.name: one for one in measurements.listed(report)} for _, report in reports]
    versions = []
    before: Terms | None = None
    for (name, report), measured in zip(reports, found, strict=True):
        terms = Terms.of(report)
        breaks = tuple(terms.breaks(before)) if before is not None else ()
        remarks = (*shortcomings(report), *_changes(report))
        versions.append(Version(name, report, measured, breaks, remarks))
        before = terms
    known = list(dict.fromkeys(name for one in found for name in one))
    if unknown := [name for name in asked if name not in known]:
        listed = ", ".join([*known[:_LISTED], *(["..."] if len(known) > _LISTED else [])])
        raise InputError(
            f"--measurement {cut(unknown[0])}: no report has it; they have {listed or 'none'}."
        )
    return History(tuple(versions), tuple(asked) or _usual(reports[-1][1], known))


def _usual(last: Report, known: Sequence[str]) -> tuple[str, ...]:
    score = last.score
    variant = None if score is None else Variant(score.profile, score.scenario)
    of_headline = [] if variant is None else [names.robustness(variant), names.spqr(variant)]
    return tuple(name for name in ("safety", "adherence", "quality", *of_headline) if name in known)


def _changes(report: Report) -> Iterator[str]:
    """What the report's own comparison with an earlier version found."""
    compared = report.comparison.get("baseline")
    if compared is None:
        return
    for verdict in ("regressed", "improved"):
        changed = [name for name, one in compared.measurements.items() if one.verdict == verdict]
        if changed:
            more = f" and {len(changed) - _LISTED} more" if len(changed) > _LISTED else ""
            yield f"{verdict} since its baseline: {', '.join(changed[:_LISTED])}{more}"


def page(history: History) -> Page:
    """The history for people: a row per version, and a line per measurement."""
    confidences = sorted(
        {
            version.found[name].confidence
            for version in history.versions
            for name in history.shown
            if name in version.found
        }
    )
    notes = [
        "In the order in which the reports were given."
        + (f" Intervals are two-sided at {at(confidences)}." if confidences else "")
    ]
    if any(version.breaks for version in history.versions):
        notes.append("Numbers before and after a line marked with * do not compare.")
    parts: list[Table | Plot] = [_values(history), _about(history)]
    if plot := _plot(history):
        parts.insert(1, plot)
    return Page("SPQR over versions", notes, parts)


def _values(history: History) -> Table:
    rows: list[list[Cell]] = [
        [
            f"{number}{'*' if version.breaks else ''}",
            Name(version.name),
            *(
                version.found[name].estimate if name in version.found else None
                for name in history.shown
            ),
            str(version.report.decision),
        ]
        for number, version in enumerate(history.versions, 1)
    ]
    header: list[str | Name] = ["", "version", *map(Name, history.shown), "decision"]
    return Table("Measurements", header, rows)


def _about(history: History) -> Table:
    rows: list[list[Cell]] = [
        [
            str(number),
            Name(version.report.model.target),
            version.report.model.fingerprint[:12],
            Name(version.report.protocol.name),
            version.report.protocol.hash,
            "; ".join((*_break(version), *version.remarks)),
        ]
        for number, version in enumerate(history.versions, 1)
    ]
    header = ("", "model", "fingerprint", "protocol", "hash", "remarks")
    return Table("The versions", header, rows)


def _break(version: Version) -> list[str]:
    """What makes a version's numbers others than those of the one before, as one remark."""
    if not version.breaks:
        return []
    return [f"does not compare with the one before ({'; '.join(version.breaks)})"]


def _plot(history: History) -> Plot | None:
    series = {
        name: [_point(version, name) for version in history.versions] for name in history.shown
    }
    if not series:
        return None
    return Plot("Over versions", svg.lines([one.name for one in history.versions], series))


def _point(version: Version, name: str) -> Point | None:
    if name not in version.found:
        return None
    found = version.found[name].estimate
    return Point(found.value, found.low, found.high, mark=bool(version.breaks))


def records(history: History) -> list[Record]:
    """A row per version and measurement; numbers are not rounded."""
    rows: list[Record] = []
    for number, version in enumerate(history.versions, 1):
        report = version.report
        for name in history.shown:
            if name in version.found:
                one = version.found[name]
                rows.append(
                    {
                        "number": number,
                        "version": version.name,
                        "model": report.model.target,
                        "fingerprint": report.model.fingerprint,
                        "protocol": report.protocol.name,
                        "protocol_hash": report.protocol.hash,
                        "decision": str(report.decision),
                        "measurement": name,
                        "value": one.estimate.value,
                        "low": one.estimate.low,
                        "high": one.estimate.high,
                        "confidence": one.confidence,
                        "n": one.n,
                        "compares_with_the_one_before": not version.breaks,
                        "remarks": "; ".join((*version.breaks, *version.remarks)),
                    }
                )
    return rows


def value(history: History) -> dict[str, Any]:
    """The history for programs."""
    return {
        "schema": SCHEMA,
        "measurements": list(history.shown),
        "versions": [
            {
                "version": version.name,
                "model": version.report.model.target,
                "fingerprint": version.report.model.fingerprint,
                "protocol": version.report.protocol.name,
                "hash": version.report.protocol.hash,
                "decision": str(version.report.decision),
                "breaks": list(version.breaks),
                "remarks": list(version.remarks),
                "measurements": {
                    name: version.found[name].estimate.model_dump()
                    | {"confidence": version.found[name].confidence, "n": version.found[name].n}
                    for name in history.shown
                    if name in version.found
                },
            }
            for version in history.versions
        ],
    }
