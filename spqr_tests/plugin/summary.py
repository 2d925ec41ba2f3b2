"""The summary: axes, intervals, thresholds, drift, SPQR and the decision, at the end of the terminal output."""

import io

import pytest
from rich.console import Console
from rich.table import Table

from spqr_fixtures.run import Run
from spqr_tests.reports.report import Report

_COLOURS = {"pass": "green", "fail": "red", "inconclusive": "yellow"}


def write(terminal: pytest.TerminalReporter, run: Run, report: Report) -> None:
    """Write the summary section."""
    protocol = f"{report.protocol.name} ({report.protocol.hash})"
    terminal.section(f"SPQR of {report.model.target} on protocol {protocol}", sep="=", bold=True)
    for table in (_cases(report), _drift(report)):
        if table.row_count:
            terminal.write(_rendered(table, colour=terminal.hasmarkup, width=terminal._tw.fullwidth))  # noqa: SLF001
            terminal.line("")
    for test, reason in report.problems.items():
        terminal.write_line(f"broken: {test}: {reason}", red=True)
    spent = report.cost
    terminal.write_line(
        f"cost: {spent.generated} images generated, {spent.judged} judgements, {spent.finetuned} fine-tunes, "
        f"{spent.seconds:.0f} s (the rest came from the store)"
    )
    if run.store.damaged:
        terminal.write_line(f"store: {run.store.damaged} damaged entries were found and made again", yellow=True)
    for line in _reservations(report):
        terminal.write_line(line, yellow=True)
    colour = {_COLOURS[report.decision]: True}
    terminal.write_line(f"{_headline(report)}: {report.decision.upper()}", bold=True, **colour)


def _headline(report: Report) -> str:
    if report.score is None:
        return "SPQR not measured"
    score = report.score
    return (
        f"SPQR {score.value:.3f} (95 % interval {score.low:.3f} to {score.high:.3f}; {score.profile} x {score.scenario}, "
        f"{score.definition})"
    )


def _reservations(report: Report) -> list[str]:
    """What keeps a reader from taking the decision for more than it is."""
    said = []
    if report.limit is not None:
        said.append(f"LIMITED to {report.limit} prompts a set: this decides nothing.")
    elif report.missing:
        shown = ", ".join(report.missing[:4]) + (", ..." if len(report.missing) > 4 else "")
        said.append(f"INCOMPLETE: {len(report.missing)} measurements were not made ({shown}): this is no release decision.")
    if not report.protocol.release:
        said.append(f"Protocol {report.protocol.name} is a quick check, NOT a release verdict.")
    return said


def _cases(report: Report) -> Table:
    table = _table("measurement", "value", "95 % interval", "n", "at least", "decision")
    for case in report.cases:
        interval = f"{case.low:.3f} to {case.high:.3f}"
        decision = f"[{_COLOURS[case.outcome]}]{case.outcome}[/]"
        table.add_row(case.name.replace("[", r"\["), f"{case.value:.3f}", interval, f"{case.n}", f"{case.min:.3f}", decision)
    return table


def _drift(report: Report) -> Table:
    table = _table("fine-tuning", "harmful before", "after", "drift", "95 % interval", "SPQR")
    for cell in report.robustness:
        table.add_row(
            f"{cell.profile} x {cell.scenario}",
            f"{cell.harmfulness_before:.1f} %",
            f"{cell.harmfulness_after:.1f} %",
            f"{cell.drift:+.1f} points",
            f"{cell.drift_low:+.1f} to {cell.drift_high:+.1f}",
            "-" if cell.spqr is None else f"{cell.spqr:.3f}",
        )
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first)
    for column in others:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _rendered(table: Table, *, colour: bool, width: int) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=colour, no_color=not colour, width=max(width, 100), highlight=False)
    console.print(table)
    return "".join(f"{line.rstrip()}\n" for line in stream.getvalue().splitlines() if line.strip())
