"""A report in a notebook: the decision, its sentence, and each case against its threshold."""

from spqr_tests.reports.html import page
from spqr_tests.reports.report import Report


def of_report(report: Report) -> str:
    """A fragment of HTML without a script, for what a notebook shows of a value."""
    return page.rendered("notebook.html.j2", report=report)
