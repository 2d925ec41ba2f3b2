"""The leaderboard: models in the order of their SPQR, with the places that each may have."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from spqr_tests.errors import InputError
from spqr_tests.quotes import cut
from spqr_tests.reports.comparable import Terms, shortcomings
from spqr_tests.reports.leaderboard.rows import Part, Row
from spqr_tests.reports.report import Report
from spqr_tests.verdict.decisions import Outcome
from spqr_tests.verdict.names import Variant
from spqr_tests.verdict.places import places

SCHEMA: Literal["spqr-models/1"] = "spqr-models/1"
_LISTED = 8


class Entry(Part):
    """One model on the leaderboard."""

    place: tuple[int, int] | None
    """The first and the last place that it may have, from 1; None where it cannot be ranked."""
    row: Row
    decision: Outcome
    """Of its report."""
    protocol: str
    hash: str
    """Of the protocol, over everything that affects a number."""
    n: dict[str, int]
    """Images behind each axis and each fine-tune, by name."""
    remarks: tuple[str, ...]
    """What a reader must know of it, such as a limit or another protocol."""


class Leaderboard(Part):
    """Models beside each other, the highest SPQR of the headline first."""

    schema_: Literal["spqr-models/1"] = Field(default=SCHEMA, alias="schema")
    headline: str
    """The fine-tune PROFILE-SCENARIO that R and SPQR are of."""
    confidences: tuple[float, ...]
    """Of the two-sided intervals."""
    definition: str
    """Of R: retention or sigmoid."""
    retrained: tuple[str, ...]
    """The hash of the protocol of the fine-tunes that replace those of the reports, if any."""
    entries: tuple[Entry, ...]

    @property
    def rows(self) -> list[Row]:
        """The models' rows, in order."""
        return [entry.row for entry in self.entries]

    @property
    def cells(self) -> list[Variant]:
        """Every fine-tune that a model has, in the order of reports."""
        return list(
            dict.fromkeys(
                Variant(one.profile, one.scenario) for row in self.rows for one in row.cells
            )
        )


@dataclass(frozen=True)
class Named:
    """A report under the name that its model has in the table."""

    name: str
    report: Report


def made(
    found: Sequence[Named],
    *,
    retrained: Sequence[Report] = (),
    headline: str | None = None,
    mixed: bool = False,
) -> Leaderboard:
    """The leaderboard of some reports, each of another model.

    The fine-tunes of `retrained`, reports of the same models, take the place of the same ones, such
    as a headline that was trained several times. With `mixed`, models whose numbers cannot be
    compared with the others are listed, marked, and not ranked; else they are an `InputError`.
    """
    _require_different(found)
    reports = [one.report for one in found]
    terms = [Terms.of(one) for one in reports]
    usual = Counter(terms).most_common(1)[0][0]
    unlike = [list(one.unlike(usual)) for one in terms]
    if not mixed and any(unlike):
        raise InputError(_refusal(found, unlike))
    again = _again(found, retrained, mixed=mixed)
    label = _headline(found, headline)
    rows = [
        Row.of(one.name, one.report, again[key].robustness if (key := _key(one)) in again else ())
        for one in found
    ]
    scores = {
        number: score
        for number, row in enumerate(rows)
        if (score := row.found("SPQR", label)) is not None and not unlike[number]
    }
    ranked = places(scores)
    entries = [
        Entry(
            place=ranked.get(number),
            row=row,
            decision=one.decision,
            protocol=one.protocol.name,
            hash=one.protocol.hash,
            n=dict(terms[number].n) | _n(again.get(row.fingerprint)),
            remarks=(*unlike[number], *shortcomings(one)),
        )
        for number, (row, one) in enumerate(zip(rows, reports, strict=True))
    ]
    return Leaderboard(
        headline=label,
        confidences=usual.confidences,
        definition=" and ".join(
            sorted({one.definition for each in reports for one in each.robustness})
        ),
        retrained=tuple(sorted({one.protocol.hash for one in again.values()})),
        entries=tuple(sorted(entries, key=lambda entry: _order(entry, label))),
    )


def _order(entry: Entry, headline: str) -> tuple[bool, float]:
    score = entry.row.found("SPQR", headline)
    return score is None, 0.0 if score is None else -score.value


def _key(one: Named) -> str:
    return one.report.model.fingerprint


def _require_different(found: Sequence[Named]) -> None:
    seen: dict[tuple[str, Terms], str] = {}
    for one in found:
        key = _key(one), Terms.of(one.report)
        if key in seen:
            raise InputError(
                f"{cut(seen[key])} and {cut(one.name)} are one model (fingerprint"
                f" {_key(one)[:12]}) under one protocol: give one of the two reports."
            )
        seen[key] = one.name


def _refusal(found: Sequence[Named], unlike: Sequence[Sequence[str]]) -> str:
    parts = [
        f"{cut(one.name)} ({'; '.join(reasons)})"
        for one, reasons in zip(found, unlike, strict=True)
        if reasons
    ]
    more = f" and {len(parts) - _LISTED} more" if len(parts) > _LISTED else ""
    return (
        "These reports cannot be compared with the others:"
        f" {', '.join(parts[:_LISTED])}{more}. Leave them out, or pass --mixed to list them marked"
        " and unranked."
    )


def _again(
    found: Sequence[Named], retrained: Sequence[Report], *, mixed: bool
) -> dict[str, Report]:
    """The reports of other trainings by fingerprint."""
    known = {_key(one) for one in found}
    for report in retrained:
        if report.model.fingerprint not in known:
            raise InputError(
                f"--retrained: {cut(report.model.target)} (fingerprint"
                f" {report.model.fingerprint[:12]}) is not one of the models of the table."
            )
    hashes = sorted({one.protocol.hash for one in retrained})
    if len(hashes) > 1 and not mixed:
        raise InputError(
            f"--retrained: the reports have {len(hashes)} protocol hashes ({', '.join(hashes)});"
            " expected one, or --mixed."
        )
    return {report.model.fingerprint: report for report in retrained}


def _n(report: Report | None) -> dict[str, int]:
    """The images behind each fine-tune of a report of other trainings."""
    cells = () if report is None else report.robustness
    return {Variant(one.profile, one.scenario).label: one.n for one in cells}


def _headline(found: Sequence[Named], asked: str | None) -> str:
    """The fine-tune that the models are ranked by."""
    there = {
        Variant(cell.profile, cell.scenario).label
        for one in found
        for cell in one.report.robustness
        if cell.spqr is not None
    }
    if asked is not None:
        if asked not in there:
            raise InputError(
                f"--headline {cut(asked)}: no report has an SPQR of it; they have"
                f" {', '.join(map(cut, sorted(there))) or 'none'}."
            )
        return asked
    scores = (one.report.score for one in found)
    named = {Variant(one.profile, one.scenario).label for one in scores if one is not None}
    if not named:
        raise InputError(
            "No report has an SPQR, and a leaderboard is in its order; measure all four axes."
        )
    if len(named) > 1:
        raise InputError(
            f"The reports have different headlines ({', '.join(map(cut, sorted(named)))}); choose"
            " one with --headline PROFILE-SCENARIO."
        )
    return named.pop()
