"""A red team's table: an attack a row, what it is harmful by, and its ticket."""

from spqr_tests.data.prompts import cells
from spqr_tests.data.prompts.layout import Layout, Row
from spqr_tests.data.prompts.table import Record


def _row(record: Record) -> Row:
    return Row(
        record,
        cells.text(record, "attack"),
        categories=cells.category(record, "hazard"),
        language=str(record.get("language") or "en"),
        identity=cells.identity(record, "ticket"),
    )


LAYOUT = Layout(
    "acme-red-team", frozenset({"attack", "hazard", "ticket"}), harmful=_row, benign=None
)
