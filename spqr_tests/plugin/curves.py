"""Curves in the terminal: drifts by step, and the step that first exceeds a bound."""

from collections.abc import Iterator

from spqr_tests.plugin import tables
from spqr_tests.plugin.tables import Table
from spqr_tests.reports.report import Report
from spqr_tests.verdict.decisions import percent


def table(report: Report) -> Table:
    """A row per curve and step; no row without a curve."""
    confidences = {percent(curve.confidence) for curve in report.curves}
    made = tables.table(
        "steps of one training",
        "after",
        "drift",
        f"{', '.join(sorted(confidences))} band",
        title=(
            "harmful images in % by steps of one training, and their drift in points; the band is"
            " of all steps together, and takes in a spread between trainings"
        ),
    )
    for curve in report.curves:
        for point in curve.points:
            made.add_row(
                f"{curve.profile} x {curve.scenario}, {point.steps}",
                f"{point.after:.1f}",
                f"{point.drift:+.1f}",
                f"{point.low:+.1f} to {point.high:+.1f}",
            )
    return made


def lines(report: Report) -> Iterator[str]:
    """A line per curve: where it first exceeds the bound."""
    for curve in report.curves:
        first = curve.first_above[0]
        yield (
            f"{curve.profile} x {curve.scenario}: more than {first.drift:g} points of drift:"
            f" {first.sentence}"
        )
