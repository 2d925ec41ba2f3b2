"""The summary at the end of the terminal output.

It shows measurements, intervals, thresholds, drift, SPQR and the decision.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import pytest
from rich.markup import escape

from spqr_tests.plugin import curves, tables, uptake
from spqr_tests.plugin.tables import Table, say
from spqr_tests.reports.comparison import Change, Comparison
from spqr_tests.reports.report import Report, Score
from spqr_tests.reports.rows import Drift, RobustnessCell
from spqr_tests.run.reference import Kind
from spqr_tests.run.run import Run
from spqr_tests.store.disk import ASIDE
from spqr_tests.verdict.decisions import percent
from spqr_tests.verdict.names import parse

_MOST = 6
"""How many groups of one kind a breakdown shows; the report has all."""
_MOST_BROKEN = 5
"""How many tests that broke for one reason are named."""
_COLOURS = {"pass": "green", "fail": "red", "inconclusive": "yellow"}
_COLOURED = {"regressed": "red", "inconclusive": "yellow", "improved": "green"}
"""Changes that the summary shows."""
_OWN_CASE = {
    "pass": "SPQR meets its own threshold",
    "fail": "SPQR misses its own threshold",
    "inconclusive": "SPQR is inconclusive against its own threshold",
}


def write(terminal: pytest.TerminalReporter, run: Run, report: Report) -> None:
    """Write the summary section: with -q, what is broken and the last two lines alone."""
    if terminal.verbosity < 0:
        _write_problems(terminal, report)
        _write_decision(terminal, report)
        return
    protocol = f"{report.protocol.name} ({report.protocol.hash})"
    tables.head(terminal, f"SPQR of {report.model.target} on protocol {protocol}")
    for table in (_cases(report), _drift(report), curves.table(report), uptake.table(report)):
        tables.write(terminal, table)
    for line in curves.lines(report):
        say(terminal, line)
    if terminal.verbosity > 0:
        tables.write(terminal, _breakdown(report))
        tables.write(terminal, _agreement(report))
    _write_problems(terminal, report)
    spent = report.cost
    say(
        terminal,
        f"cost: {spent.generated} images generated, {spent.judged} judgements, {spent.finetuned}"
        f" fine-tunes, {spent.seconds:.0f} s (the rest came from the store)",
    )
    if spent.damaged:
        say(
            terminal,
            f"store: damaged entries that were made again: {spent.damaged} (see"
            f" {run.store.folder / ASIDE})",
            yellow=True,
        )
    for compared in report.comparison.items():
        for line, colour in _changes(*compared):
            say(terminal, line, **colour)
    for line in (*_repeated(report), *_reservations(report)):
        say(terminal, line, yellow=True)
    _write_decision(terminal, report)


def _write_problems(terminal: pytest.TerminalReporter, report: Report) -> None:
    """Write what broke, a line for each reason."""
    tests: dict[str, list[str]] = {}
    for test, reason in report.problems.items():
        tests.setdefault(reason, []).append(test)
    for reason, broken in tests.items():
        say(terminal, f"broken: {_some(broken)}: {reason}", red=True)


def _some(tests: Sequence[str]) -> str:
    """The first tests by name, and how many more there are."""
    named, more = ", ".join(tests[:_MOST_BROKEN]), len(tests) - _MOST_BROKEN
    return f"{named} and {more} more {'test' if more == 1 else 'tests'}" if more > 0 else named


def _write_decision(terminal: pytest.TerminalReporter, report: Report) -> None:
    """Write the last two lines."""
    say(terminal, _headline(report))
    say(terminal, report.decision_sentence, bold=True, **{_COLOURS[report.decision]: True})


def _headline(report: Report) -> str:
    if report.score is None:
        return "SPQR not measured"
    score = report.score
    return (
        f"SPQR {score.value:.3f} ({percent(score.confidence)} interval {score.low:.3f} to"
        f" {score.high:.3f}; {_variant(score)}, {score.definition}) ({_OWN_CASE[score.outcome]})"
    )


def _repeated(report: Report) -> list[str]:
    """Which measurements have images that repeat others to the pixel."""
    axes = {name: getattr(report.axes, name) for name in ("safety", "adherence", "quality")}
    shares = {name: one.context.get("distinct") for name, one in axes.items() if one is not None}
    shares |= {f"robustness, {_variant(one)}": one.distinct for one in report.robustness}
    return [
        f"{name}: {percent(share)} of the images are distinct; the others repeat one of them to the"
        " pixel."
        for name, share in shares.items()
        if share is not None and share < 1
    ]


def _reservations(report: Report) -> list[str]:
    """What limits the meaning of the decision."""
    said = []
    if report.inconclusive == "point":
        count = sum(case.decided_by == "estimate" for case in report.cases)
        said.append(
            f"--spqr-inconclusive=point: {count} of {len(report.cases)} cases are decided by their"
            " estimate alone, although their intervals leave them undecided. A checkpoint exactly"
            " on a threshold passes it in about half of such runs, not in 2.5 % of them."
        )
    if report.sequential:
        early = [case for case in report.cases if case.n < case.planned]
        said.append(
            f"--spqr-sequential: {len(early)} of {len(report.cases)} cases were decided before"
            " their planned n, by intervals that hold at every n."
        )
        if report.curves:
            said.append("--spqr-sequential: curves use all their prompts.")
    if not report.protocol.release:
        said.append(f"Protocol {report.protocol.name} is a quick check, NOT a release verdict.")
    return said


def _changes(kind: Kind, compared: Comparison) -> Iterator[tuple[str, dict[str, bool]]]:
    """The comparison with an earlier version, in lines with their colour.

    First how much was compared and how, then each measurement that got worse or better.
    """
    found = list(compared.measurements.values())
    counts = Counter(one.verdict for one in found)
    said = ", ".join(
        f"{counts[verdict]} {verdict}"
        for verdict in (
            "regressed",
            "unimproved",
            "inconclusive",
            "improved",
            "unchanged",
            "new",
        )
        if counts[verdict]
    )
    targets = ", ".join(
        dict.fromkeys(one.old_target for one in found if one.old_target is not None)
    )
    paired = [one.paired for one in found if one.paired is not None]
    how = (
        f"; {sum(paired)} of {len(paired)} paired prompt by prompt, {percent(compared.confidence)}"
        " intervals"
        if paired
        else ""
    )
    yield (
        (
            f"{kind} {compared.path}{f' ({targets})' if targets else ''}:"
            f" {said or 'nothing was compared'}{how}"
        ),
        {},
    )
    for name, one in compared.measurements.items():
        if one.verdict in _COLOURED:
            yield _change(name, one), {_COLOURED[one.verdict]: True}
    if compared.written:
        kept = len(found) - len(compared.written)
        stay = f"; {kept} left as they are" if kept else ""
        yield f"snapshots written: {len(compared.written)}{stay}", {"bold": True}


def _change(name: str, one: Change) -> str:
    axis, subject = parse(name)
    flips = [
        f", {len(images)} {'prompt' if len(images) == 1 else 'prompts'} {what}"
        for images, what in (
            (one.newly_flagged, "newly flagged"),
            (one.no_longer_flagged, "no longer flagged"),
        )
        if images
    ]
    # Only a new measurement lacks numbers, and is not shown here.
    digits = 2 if abs(one.difference or 0) >= 0.01 else 3
    old, new = (f"{value or 0:.{digits}f}" for value in (one.old, one.new))
    change, low, high = (
        f"{value or 0:+.{digits}f}" for value in (one.difference, one.low, one.high)
    )
    return (
        f"{axis}{f'/{subject}' if subject else ''}: {old} -> {new} ({change}, {low} to"
        f" {high}){''.join(flips)}"
    )


def _cases(report: Report) -> Table:
    column = _Intervals(case.confidence for case in report.cases)
    table = tables.table("measurement", "value", *column.heads, "n", "threshold", "decision")
    for case in report.cases:
        digits = 1 if case.unit == "points" or abs(case.bound) >= 10 else 3
        value, low, high, bound = (
            f"{number:.{digits}f}" for number in (case.value, case.low, case.high, case.bound)
        )
        colour = "yellow" if case.warns else _COLOURS[case.outcome]
        decision = f"[{colour}]{'warn: ' if case.warns else ''}{case.outcome}[/]" + (
            " (point)" if case.decided_by == "estimate" else ""
        )
        threshold = f"{'>=' if case.direction == 'min' else '<='} {bound}"
        interval = column.cells(f"{low} to {high}", case.confidence)
        n = f"{case.n}" if case.n == case.planned else f"{case.n} of {case.planned}"
        table.add_row(escape(case.measured), value, *interval, n, threshold, decision)
    return table


def _drift(report: Report) -> Table:
    ood = any(cell.ood for cell in report.robustness)
    column = _Intervals(cell.confidence for cell in report.robustness)
    table = tables.table(
        "fine-tuning",
        "before",
        "after",
        "drift",
        *column.heads,
        "corr.",
        "kept",
        "SPQR",
        *(["OOD drift"] if ood else []),
        title=(
            "harmful images before and after fine-tuning in %, and their drift in points"
            f" ({_trainings(report)}; kept: the share of harmless images that stay so, net)"
        ),
    )
    for cell in report.robustness:
        table.add_row(
            f"{cell.profile} x {cell.scenario}",
            f"{cell.harmfulness_before:.1f}",
            f"{cell.harmfulness_after:.1f}",
            f"{cell.drift:+.1f}",
            *column.cells(f"{cell.drift_low:+.1f} to {cell.drift_high:+.1f}", cell.confidence),
            "-" if cell.correlation is None else f"{cell.correlation:.2f}",
            "-" if cell.relative_retention is None else f"{cell.relative_retention:.3f}",
            "-" if cell.spqr is None else f"{cell.spqr:.3f}",
            *([f"{cell.ood.drift:+.1f}" if cell.ood else "-"] if ood else []),
        )
    return table


def _trainings(report: Report) -> str:
    """How many trainings the rows are of, and what the spread between them is known from."""
    counts = sorted({len(cell.trainings) for cell in report.robustness if cell.trainings})
    if not counts:
        return "ready adapters"
    if counts == [1]:
        return "one training each, with the spread between trainings that the protocol states"
    return f"{' or '.join(map(str, counts))} trainings each"


def _breakdown(report: Report) -> Table:
    """The headline variant's drift by group, where there are several."""
    shown = [
        cell
        for cell in report.robustness
        if report.score and _variant(cell) == _variant(report.score)
    ]
    cell = min(shown or report.robustness, key=lambda cell: cell.value, default=None)
    if cell is None:
        return tables.table("")
    interval = f"{percent(cell.confidence)} interval"
    table = tables.table(f"{_variant(cell)} by", "n", "before", "after", "drift", interval)
    for by in ("category", "language", "judge"):
        groups = [group for group in cell.groups if group.by == by]
        # The groups that drift most, in the report's order.
        kept = sorted(sorted(groups, key=lambda group: -group.drift)[:_MOST], key=groups.index)
        for group in kept if len(groups) > 1 else ():
            _add(table, f"{by} {group.name}", group)
        if len(kept) < len(groups):
            table.add_row(
                f"{by}: {len(groups) - len(kept)} more, which drift less, are in the report"
            )
    if cell.ood:
        _add(table, "out of distribution", cell.ood)
    return table


def _agreement(report: Report) -> Table:
    """How many images two judges flag together, and how far that is beyond chance."""
    found = report.agreement
    if found is None:
        return tables.table("")
    alpha = "" if len(found.pairs) < 2 else f"; Krippendorff's alpha of all: {_beyond(found.alpha)}"
    table = tables.table(
        "agreement of",
        *("both", "first only", "second only", "neither", "kappa"),
        title=f"flags of {found.images} images of harmful prompts{alpha}",
    )
    for pair in found.pairs:
        counts = (pair.both, pair.first_only, pair.second_only, pair.neither)
        label = escape(f"{pair.first}, {pair.second}")
        table.add_row(label, *map(str, counts), _beyond(pair.kappa))
    return table


def _beyond(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _add(table: Table, label: str, row: Drift) -> None:
    rates = (f"{row.before:.1f}", f"{row.after:.1f}")
    # A name is the user's and may contain rich's markup.
    table.add_row(
        escape(label),
        f"{row.n}",
        *rates,
        f"{row.drift:+.1f}",
        f"{row.low:+.1f} to {row.high:+.1f}",
    )


class _Intervals:
    """The column of intervals.

    Their confidence is in the heading if it is the same for all, else in a column of its own.
    """

    def __init__(self, confidences: Iterable[float]) -> None:
        found = set(confidences)
        self._differ = len(found) > 1
        self.heads = (
            ("interval", "confidence")
            if self._differ
            else (f"{percent(max(found, default=0.95))} interval",)
        )

    def cells(self, interval: str, confidence: float) -> tuple[str, ...]:
        """A row's cells under `heads`."""
        return (interval, percent(confidence)) if self._differ else (interval,)


def _variant(named: RobustnessCell | Score) -> str:
    return f"{named.profile} x {named.scenario}"
