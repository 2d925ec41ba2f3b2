"""What the page says first: the axes against their thresholds, and why the decision is as it is."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from spqr_tests.reports.html.plots import Bar, Radar, Spoke
from spqr_tests.reports.report import Report
from spqr_tests.reports.rows import Case, Group, RobustnessCell, UptakeStatement
from spqr_tests.verdict import names
from spqr_tests.verdict.decisions import Outcome, percent
from spqr_tests.verdict.names import Variant


@dataclass(frozen=True)
class AxisRow:
    """One row of the first table; `case` is None where it was not measured."""

    title: str
    about: str
    case: Case | None


class Overview:
    """A report, by what its page shows."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._cases = {case.name: case for case in report.cases}

    @property
    def variant(self) -> Variant | None:
        """The fine-tune of the score; without a score the one with the lowest R."""
        if self._report.score is not None:
            return Variant(self._report.score.profile, self._report.score.scenario)
        worst = min(self._report.robustness, key=lambda cell: cell.value, default=None)
        return None if worst is None else Variant(worst.profile, worst.scenario)

    @property
    def cell(self) -> RobustnessCell | None:
        """The row of that fine-tune."""
        found = (one for one in self._report.robustness if variant_of(one) == self.variant)
        return next(found, None)

    @property
    def axes(self) -> list[AxisRow]:
        """S, P, Q and R of that fine-tune, harm after it where that is decided, and SPQR."""
        after, variant = "", self.variant
        rows = [
            ("Safety", "before fine-tuning", names.safety()),
            ("Prompt adherence", "before fine-tuning", "adherence"),
            ("Quality", "before fine-tuning", "quality"),
        ]
        if variant is None:
            rows.append(
                ("Robustness", "no fine-tune was measured", names.robustness(Variant("", "")))
            )
        else:
            after = f"after {variant.title}"
            rows.append(("Robustness", after, names.robustness(variant)))
            if names.after(variant) in self._cases:
                rows.append(("Safety after", after, names.after(variant)))
            rows.append(("SPQR", variant.title, names.spqr(variant)))
        return [_row(title, about, self._cases.get(name)) for title, about, name in rows]

    @property
    def radar(self) -> Radar | None:
        """The four axes; None unless all of them were measured."""
        axes, cell = self._report.axes, self.cell
        found = (axes.safety, axes.adherence, axes.quality, cell)
        if variant := self.variant:
            named = (names.safety(), "adherence", "quality", names.robustness(variant))
        if variant is None or any(one is None for one in found):
            return None
        return Radar(
            tuple(
                Spoke(letter, one.value, one.low, one.high, self._bound(name))
                for letter, one, name in zip("SPQR", found, named, strict=True)
                if one is not None
            )
        )

    @property
    def decisive(self) -> list[Case]:
        """The cases that made the decision, those that failed before those that are undecided."""
        return self._having(Outcome.FAIL) or self._having(Outcome.INCONCLUSIVE)

    @property
    def counts(self) -> dict[str, int]:
        """How many cases have each outcome, and how many only warn."""
        found = {str(outcome): len(self._having(outcome)) for outcome in Outcome}
        return found | {"that only warn": sum(case.warns for case in self._report.cases)}

    @property
    def problems(self) -> dict[str, list[str]]:
        """What broke: the tests by their reason."""
        found: dict[str, list[str]] = {}
        for test, reason in self._report.problems.items():
            found.setdefault(reason, []).append(test)
        return found

    @property
    def notices(self) -> list[str]:
        """What limits the meaning of the decision, a sentence each."""
        report = self._report
        early = sum(case.n < case.planned for case in report.cases)
        estimated = sum(case.decided_by == "estimate" for case in report.cases)
        said = [
            (
                report.limit is not None,
                f"A trial with {report.limit} prompts a set (--spqr-limit): it decides nothing.",
            ),
            (
                report.partial,
                (
                    "A part of the measurements was asked for (--spqr-partial); the exit code is of"
                    " that part alone."
                ),
            ),
            (
                not report.protocol.release,
                f"The protocol {report.protocol.name} is a quick check, not a release verdict.",
            ),
            (
                report.sequential,
                (
                    f"--spqr-sequential: {early} of {len(report.cases)} cases were decided before"
                    " their planned n, by intervals that hold at every n."
                ),
            ),
            (
                report.inconclusive == "point",
                (
                    f"--spqr-inconclusive=point: {estimated} cases are decided by their estimate"
                    " alone, although their intervals leave them undecided."
                ),
            ),
            (
                bool(report.earlier_looks),
                (
                    f"{len(report.earlier_looks)} earlier runs asked the same of this model with"
                    " other prompts, seeds or trainings; who asks until it passes errs more often."
                ),
            ),
        ]
        cut = [
            f"{one.prompts} of {one.of} prompts of the set {one.role} are cut by {one.encoder},"
            f" which reads {one.limit} tokens."
            for one in report.cut
        ]
        return [*(sentence for holds, sentence in said if holds), *cut]

    @property
    def outside(self) -> list[RobustnessCell]:
        """The fine-tunes with a drift on prompts out of distribution."""
        return [cell for cell in self._report.robustness if cell.ood is not None]

    @property
    def taught(self) -> list[tuple[str, UptakeStatement]]:
        """What each training of each fine-tune did, where it was measured."""
        return [
            (names.training(variant_of(cell), number), one)
            for cell in self._report.robustness
            for number, one in enumerate(cell.uptakes)
        ]

    def of(self, cell: RobustnessCell) -> Case | None:
        """The case that decides the drift of a fine-tune."""
        return self._cases.get(names.robustness(variant_of(cell)))

    def drift_bar(self, cell: RobustnessCell) -> Bar:
        """The drift of a fine-tune, in points, on one scale for all of them."""
        case = self.of(cell)
        bound = None
        if case is not None and case.unit == "points":
            bound = case.bound
        elif case is not None and cell.definition == "retention":
            bound = 100 * (1 - case.bound)
        return Bar.of(
            cell.drift,
            cell.drift_low,
            cell.drift_high,
            reach=self._drifts(),
            bound=bound,
            direction="max",
        )

    @property
    def groups(self) -> dict[str, dict[str, list[Group | None]]]:
        """By category, language and judge: by name, the drift in each fine-tune."""
        cells = self._report.robustness
        found: dict[str, dict[str, list[Group | None]]] = {}
        for place, cell in enumerate(cells):
            for group in cell.groups:
                row = found.setdefault(group.by, {}).setdefault(group.name, [None] * len(cells))
                row[place] = group
        return found

    def _drifts(self) -> tuple[float, float]:
        cells = self._report.robustness
        low = min([0.0, *(one.drift_low for one in cells)])
        return low, max([10.0, *(one.drift_high for one in cells)]) * 1.05

    def _having(self, outcome: Outcome) -> list[Case]:
        cases = self._report.cases
        return [case for case in cases if case.outcome is outcome and not case.warns]

    def _bound(self, name: str) -> float | None:
        case = self._cases.get(name)
        return case.bound if case and case.unit == "share" and case.direction == "min" else None


def _row(title: str, about: str, case: Case | None) -> AxisRow:
    """The row of an axis, or where the threshold bounds that, of its raw metric."""
    if case is not None and case.measured != case.name:
        title = names.axis(case.measured).replace("_", " ").capitalize()
    return AxisRow(title, about, case)


def variant_of(cell: RobustnessCell) -> Variant:
    """The fine-tune of a row."""
    return Variant(cell.profile, cell.scenario)


def case_bar(case: Case) -> Bar:
    """A case on the scale of its unit; for points as far as its numbers go."""
    numbers = (case.value, case.low, case.high, case.bound)
    top = 1.0 if max(numbers) <= 1 and case.unit != "points" else max(numbers) * 1.1
    if case.unit == "points":
        top = max(min(100.0, top * 1.2), 10.0)
    return Bar.of(
        case.value,
        case.low,
        case.high,
        reach=(min(0.0, *numbers), top),
        bound=case.bound,
        direction=case.direction,
    )


def number(value: float, case: Case) -> str:
    """A number of a case as the terminal's summary writes it."""
    digits = 1 if case.unit == "points" or abs(case.bound) >= 10 else 3
    return f"{value:.{digits}f}"


def spoken(case: Case) -> str:
    """What the plot of a case shows, in words."""
    value, low, high, bound = (
        number(one, case) for one in (case.value, case.low, case.high, case.bound)
    )
    least = "at least" if case.direction == "min" else "at most"
    return (
        f"{case.measured}: {value}, {percent(case.confidence)} interval {low} to {high}, threshold"
        f" {least} {bound}"
    )


def level(drift: float | None) -> int:
    """How dark a cell of the table of groups is, from 0 to 4."""
    return 0 if drift is None else sum(drift > bound for bound in (1, 5, 15, 30))


def listed(values: Iterable[Any]) -> str:
    """Texts with commas between them."""
    return ", ".join(map(str, values))
