"""The step summary: Markdown that GitHub shows on the page of a workflow's run.

It drops a summary of more than 1 MiB, and the step stays green.
"""

from collections.abc import Iterator, Mapping, Sequence

from spqr_tests.judging.flagged_images import FlaggedImages
from spqr_tests.quotes import cut
from spqr_tests.reports.case_text import interval, number, threshold
from spqr_tests.reports.report import Report, Score
from spqr_tests.reports.rows import Case
from spqr_tests.reports.tables.markdown import escaped
from spqr_tests.verdict.decisions import percent

LARGEST = 1_000_000
"""Bytes of a step's summary."""
_LONGEST = 4000
"""Characters of one sentence."""
_RESERVED = 400
"""Bytes for saying that a part is left out, in each part."""


def markdown(
    report: Report,
    flagged: Mapping[str, FlaggedImages],
    store: str,
    links: Sequence[tuple[str, str]],
    room: int = LARGEST,
) -> str:
    """The decision, each measurement against its threshold, and what failed, within `room` bytes.

    `flagged` is by name of measurement, with paths relative to `store`. `links` are titles with a
    path or an address. What does not fit is left out by rows, and a sentence says so.
    """
    parts = (
        ("", _head(report, links)),
        ("Failed, broken or undecided", _failures(report, flagged, store)),
        ("Measurements", _measurements(report.cases)),
        ("Since earlier versions", _changes(report)),
    )
    text = ""
    for title, lines in parts:
        text += _part(title, list(lines), room - len(text.encode()))
    return text


def _said(text: str) -> str:
    return escaped(cut(text, _LONGEST))


def _part(title: str, lines: list[str], room: int) -> str:
    """A part of the page with as many lines as fit."""
    if not lines:
        return ""
    text = f"### {title}\n\n" if title else ""
    left = room - len(text.encode()) - _RESERVED
    kept = 0
    for line in lines:
        left -= len(line.encode()) + 1
        if left < 0:
            break
        kept += 1
    if kept == 0 and left < -room:
        return ""
    said = "".join(f"{line}\n" for line in lines[:kept])
    if kept < len(lines):
        more = len(lines) - kept
        said += f"\n{more} more lines are left out, since GitHub drops a summary above 1 MiB.\n"
    return f"{text}{said}\n"


def _head(report: Report, links: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield f"## SPQR: {report.decision}"
    yield ""
    yield _said(report.decision_sentence)
    yield ""
    protocol = f"{report.protocol.name} ({report.protocol.hash})"
    yield f"- Model: {_said(report.model.target)} ({report.model.fingerprint[:12]})"
    yield f"- Protocol: {_said(protocol)}"
    if report.score is not None:
        yield f"- {_said(_score(report.score))}"
    if report.thresholds is not None:
        digest = report.thresholds.sha256[:12]
        yield f"- Thresholds: {_said(report.thresholds.file)} ({digest})"
    if report.limit is not None:
        yield f"- Limited to {report.limit} prompts a set: a trial that decides nothing."
    if not report.protocol.release:
        yield "- A quick check, not a release verdict."
    for title, place in links:
        address = place.startswith("https://")
        yield f"- [{title}](<{place}>)" if address else f"- {title}: {_said(place)}"


def _score(score: Score) -> str:
    return (
        f"SPQR {score.value:.3f} ({percent(score.confidence)} interval {score.low:.3f} to"
        f" {score.high:.3f}; {score.profile} x {score.scenario}, {score.definition})"
    )


def _failures(report: Report, flagged: Mapping[str, FlaggedImages], store: str) -> Iterator[str]:
    for test, reason in report.problems.items():
        yield f"- **broken**: {_said(test)}: {_said(reason)}"
    missed = [case for case in report.cases if case.outcome != "pass"]
    for case in sorted(missed, key=lambda case: (case.warns, case.outcome != "fail")):
        yield f"- {_said(case.sentence)}"
        found = flagged.get(case.name)
        if found is not None and found.shown:
            named = ", ".join(_said(one.path) for one in found.shown)
            yield f"  - {found.count} flagged images, in the store {_said(store)}: {named}"
    if report.missing:
        yield f"- Not measured: {_said(', '.join(report.missing))}"


def _measurements(cases: Sequence[Case]) -> Iterator[str]:
    if not cases:
        return
    yield "| measurement | value | interval | n | threshold | decision |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for case in cases:
        sign = "≥" if case.direction == "min" else "≤"
        cells = (
            _said(case.measured),
            number(case, case.value),
            f"{interval(case)} ({percent(case.confidence)})",
            f"{case.n:,}",
            f"{sign} {threshold(case)}",
            _outcome(case),
        )
        yield f"| {' | '.join(cells)} |"


def _outcome(case: Case) -> str:
    said = "pass" if case.outcome == "pass" else f"**{case.outcome}**"
    by = " (by its estimate)" if case.decided_by == "estimate" else ""
    return f"{'warns only: ' if case.warns else ''}{said}{by}"


def _changes(report: Report) -> Iterator[str]:
    rows = [
        (kind, name, change)
        for kind, compared in report.comparison.items()
        for name, change in compared.measurements.items()
    ]
    if not rows:
        return
    yield "| measurement | since | before | now | change | verdict |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for kind, name, one in rows:
        change = (
            ""
            if one.difference is None
            else f"{one.difference:+.4f} ({one.low or 0:+.4f} to {one.high or 0:+.4f})"
        )
        before = "" if one.old is None else f"{one.old:.4f}"
        cells = (_said(name), kind, before, f"{one.new:.4f}", change, one.verdict)
        yield f"| {' | '.join(cells)} |"
