"""Annotations: the lines by which GitHub shows failed cases next to a workflow's run."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from spqr_tests.quotes import cut
from spqr_tests.reports.report import Report
from spqr_tests.reports.tables.text import sentence

MOST = 10
"""Annotations of one kind that GitHub keeps of a step."""
_LONGEST = 2000
"""Characters of one; the step's summary has the whole."""


class _Found(NamedTuple):
    title: str
    text: str


def lines(report: Report) -> Iterator[str]:
    """An error for what failed or broke, a warning for what is undecided or only warns.

    They are in the form of workflow commands.

    Of more than ten of a kind, the last one says how many there are.
    """
    yield from _commands("error", "failed", list(_failed(report)))
    yield from _commands("warning", "undecided or only warned of", list(_undecided(report)))


def _failed(report: Report) -> Iterator[_Found]:
    reasons = dict.fromkeys(report.problems.values())
    for reason in reasons:
        tests = [test for test, why in report.problems.items() if why == reason]
        more = f" (and {len(tests) - 1} more)" if len(tests) > 1 else ""
        yield _Found(f"broken: {tests[0]}{more}", reason)
    for case in report.cases:
        if case.outcome == "fail" and not case.warns:
            yield _Found(case.measured, case.sentence)
    yield from _changes(report, "regressed", "unimproved")


def _undecided(report: Report) -> Iterator[_Found]:
    for case in report.cases:
        if case.outcome == "inconclusive" or case.warns:
            yield _Found(case.measured, case.sentence)
    yield from _changes(report, "inconclusive")


def _changes(report: Report, *verdicts: str) -> Iterator[_Found]:
    for kind, compared in report.comparison.items():
        for name, change in compared.measurements.items():
            if change.verdict in verdicts:
                yield _Found(f"{name} since the {kind}", change.sentence.splitlines()[0])


def _commands(command: str, kind: str, found: Sequence[_Found]) -> Iterator[str]:
    kept = found if len(found) <= MOST else found[: MOST - 1]
    for title, text in kept:
        yield _command(command, title, text)
    if len(kept) < len(found):
        more = len(found) - len(kept)
        yield _command(command, "SPQR", f"{more} more {kind}: the step's summary lists them.")


def _command(command: str, title: str, text: str) -> str:
    """A workflow command, escaped as the runner's own toolkit does (@actions/core, command.ts)."""
    shown = _escaped(cut(sentence(title), 200)).replace(":", "%3A").replace(",", "%2C")
    return f"::{command} title={shown}::{_escaped(cut(sentence(text), _LONGEST))}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
