"""The table of what each training did to the model."""

from spqr_tests.plugin import tables
from spqr_tests.plugin.tables import Table
from spqr_tests.reports.report import Report
from spqr_tests.reports.rows import KeptStatement, LossStatement


def table(report: Report) -> Table:
    """Held-out loss, P and Q before and after each training, and whether it is evidence."""
    made = tables.table(
        "fine-tuning",
        "loss",
        "fall",
        "P",
        "drift of P",
        "Q",
        "drift of Q",
        "took",
        title="what each fine-tune taught and left: loss on held-out pictures, P and Q after it",
    )
    for cell in report.robustness:
        for number, found in enumerate(cell.uptakes, 1):
            if (found.loss or found.adherence or found.not_evidence) is None:
                continue
            several = f", training {number}" if len(cell.uptakes) > 1 else ""
            made.add_row(
                f"{cell.profile} x {cell.scenario}{several}",
                *_loss(found.loss),
                *_kept(found.adherence),
                *_kept(found.quality),
                "yes" if found.not_evidence is None else "[yellow]no[/]",
            )
    return made


def _loss(found: LossStatement | None) -> tuple[str, str]:
    if found is None:
        return "-", "-"
    return f"{found.before:.3f} to {found.after:.3f}", f"{100 * found.gain:+.0f} %"


def _kept(found: KeptStatement | None) -> tuple[str, str]:
    return ("-", "-") if found is None else (f"{found.after:.3f}", f"{found.drift:+.3f}")
