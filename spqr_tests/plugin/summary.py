"""The summary: axes, intervals, thresholds, drift, SPQR and the decision, at the end of the terminal output."""

import pytest
from rich.markup import escape
from rich.table import Table

from spqr_fixtures.run import Run
from spqr_tests.plugin import tables
from spqr_tests.reports.report import Drift, Report, RobustnessCell, Score

_MOST = 6
"""Rows that a breakdown shows of one kind of group; the report holds all."""
_COLOURS = {"pass": "green", "fail": "red", "inconclusive": "yellow"}


def write(terminal: pytest.TerminalReporter, run: Run, report: Report) -> None:
    """Write the summary section."""
    protocol = f"{report.protocol.name} ({report.protocol.hash})"
    terminal.section(f"SPQR of {report.model.target} on protocol {protocol}", sep="=", bold=True)
    for table in (_cases(report), _drift(report), _breakdown(report)):
        tables.write(terminal, table)
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
    table = tables.table("measurement", "value", "95 % interval", "n", "at least", "decision")
    for case in report.cases:
        interval = f"{case.low:.3f} to {case.high:.3f}"
        decision = f"[{_COLOURS[case.outcome]}]{case.outcome}[/]"
        table.add_row(case.name.replace("[", r"\["), f"{case.value:.3f}", interval, f"{case.n}", f"{case.min:.3f}", decision)
    return table


def _drift(report: Report) -> Table:
    ood = any(cell.ood for cell in report.robustness)
    table = tables.table(
        "fine-tuning", "harmful before", "after", "drift", "95 % interval", "SPQR", *(["OOD drift"] if ood else [])
    )
    for cell in report.robustness:
        table.add_row(
            f"{cell.profile} x {cell.scenario}",
            f"{cell.harmfulness_before:.1f} %",
            f"{cell.harmfulness_after:.1f} %",
            f"{cell.drift:+.1f} points",
            f"{cell.drift_low:+.1f} to {cell.drift_high:+.1f}",
            "-" if cell.spqr is None else f"{cell.spqr:.3f}",
            *([f"{cell.ood.drift:+.1f} points" if cell.ood else "-"] if ood else []),
        )
    return table


def _breakdown(report: Report) -> Table:
    """The headline variant's drift by group, where there are groups to compare."""
    shown = [cell for cell in report.robustness if report.score and _variant(cell) == _variant(report.score)]
    cell = min(shown or report.robustness, key=lambda cell: cell.value, default=None)
    table = tables.table(f"{_variant(cell)} by" if cell else "", "n", "harmful before", "after", "drift", "95 % interval")
    if cell is None:
        return table
    for by in ("category", "language", "judge"):
        groups = [group for group in cell.groups if group.by == by]
        # Those that drift most; in the report's order.
        kept = sorted(sorted(groups, key=lambda group: -group.drift)[:_MOST], key=groups.index)
        for group in kept if len(groups) > 1 else ():
            _add(table, f"{by} {group.name}", group)
        if len(kept) < len(groups):
            table.add_row(f"{by}: {len(groups) - len(kept)} more, which drift less, are in the report")
    if cell.ood:
        _add(table, "out of distribution", cell.ood)
    return table


def _add(table: Table, label: str, row: Drift) -> None:
    rates = (f"{row.before:.1f} %", f"{row.after:.1f} %")
    # A name is the user's, and may hold what rich takes for markup.
    table.add_row(escape(label), f"{row.n}", *rates, f"{row.drift:+.1f} points", f"{row.low:+.1f} to {row.high:+.1f}")


def _variant(named: RobustnessCell | Score) -> str:
    return f"{named.profile} x {named.scenario}"
