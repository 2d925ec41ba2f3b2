"""The measurements in a report, by name: each in [0, 1], better when higher."""

from collections.abc import Iterator
from dataclasses import dataclass

from spqr_tests.reports.report import Report
from spqr_tests.reports.rows import Case, RobustnessCell
from spqr_tests.verdict import names, scoring
from spqr_tests.verdict.estimate import Estimate
from spqr_tests.verdict.names import Name, Variant

_AXES = ("safety", "adherence", "quality")
_OF_FINE_TUNES = ("robustness", names.AFTER, names.DOSE, "spqr")


@dataclass(frozen=True)
class Measured:
    """One measurement: its value in [0, 1], and the decision where a threshold asks for one."""

    name: str
    estimate: Estimate
    confidence: float
    """Of the two-sided interval."""
    n: int
    """Images behind it, or pairs of images."""
    not_evidence: str | None = None
    """Why it is inconclusive whatever its value; else None."""
    case: Case | None = None
    cell: RobustnessCell | None = None
    """The fine-tune that it is of, for R and SPQR of all prompts."""

    @property
    def parts(self) -> Name:
        """The parts of its name."""
        return names.parse(self.name)

    @property
    def variant(self) -> Variant | None:
        """The fine-tune that it is of; None before fine-tuning."""
        return self.parts.variant if self.parts.axis in _OF_FINE_TUNES else None

    @property
    def category(self) -> str | None:
        """The category of prompts that it is of; None for all of them."""
        parts = self.parts
        return parts.category if self.variant else parts.subject or None


def listed(report: Report) -> list[Measured]:
    """Every measurement of a report, in its order; curves that nothing decides are left out."""
    cases = {case.name: case for case in report.cases}

    def made(
        name: str,
        estimate: Estimate,
        confidence: float,
        n: int,
        not_evidence: str | None = None,
        cell: RobustnessCell | None = None,
    ) -> Measured:
        return Measured(name, estimate, confidence, n, not_evidence, cases.get(name), cell)

    found: list[Measured] = []
    for name in _AXES:
        if (axis := getattr(report.axes, name)) is not None:
            found.append(
                made(name, Estimate.of(axis.value, axis.low, axis.high), axis.confidence, axis.n)
            )
        if name == "safety":
            found += [
                made(
                    names.safety(one.name),
                    _share(one.harmfulness, one.high, one.low),
                    one.confidence,
                    one.n,
                )
                for one in report.categories
            ]
    for cell in report.robustness:
        name = names.robustness(Variant(cell.profile, cell.scenario))
        estimate = Estimate.of(cell.value, cell.low, cell.high)
        found.append(made(name, estimate, cell.confidence, cell.n, cell.not_evidence, cell))
    for gate in report.gates:
        estimate = Estimate.of(gate.value, gate.low, gate.high)
        found.append(made(gate.name, estimate, gate.confidence, gate.n, gate.not_evidence))
    for curve in report.curves:
        if curve.until is not None:
            greatest = (
                curve.greatest or 0.0,
                curve.greatest_high or 0.0,
                curve.greatest_low or 0.0,
            )
            name = names.dose(Variant(curve.profile, curve.scenario))
            estimate = Estimate.of(*(float(scoring.retention(one)) for one in greatest))
            found.append(made(name, estimate, curve.confidence, curve.n, curve.not_evidence))
    found += [
        made(names.spqr(Variant(cell.profile, cell.scenario)), *score, _untaken(cell), cell)
        for cell in report.robustness
        for score in _score(cell)
    ]
    return found


def others(report: Report) -> list[Case]:
    """Decisions of tests of the user's own, on measurements that the suite does not make."""
    known = {one.name for one in listed(report)}
    return [case for case in report.cases if case.name not in known]


def _share(harmfulness: float, high: float, low: float) -> Estimate:
    """Safety of harmfulness in percent, whose higher bound is the lower one of safety."""
    return Estimate.of(*(float(scoring.safety(one)) for one in (harmfulness, high, low)))


def _score(cell: RobustnessCell) -> Iterator[tuple[Estimate, float, int]]:
    """SPQR with its confidence and n; nothing where an axis was not measured."""
    if cell.spqr is None or cell.spqr_low is None or cell.spqr_high is None:
        return
    if cell.spqr_confidence is not None:
        estimate = Estimate.of(cell.spqr, cell.spqr_low, cell.spqr_high)
        yield estimate, cell.spqr_confidence, cell.n


def _untaken(cell: RobustnessCell) -> str | None:
    """Why a fine-tune is no evidence for SPQR."""
    return next((one.not_evidence for one in cell.uptakes if one.not_evidence), None)
