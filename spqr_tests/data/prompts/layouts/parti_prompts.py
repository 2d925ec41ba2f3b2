"""PartiPrompts (Yu et al. 2022): benign prompts, each with a category and a challenge."""

from spqr_tests.data.prompts import cells
from spqr_tests.data.prompts.layout import Layout, Row
from spqr_tests.data.prompts.table import Record


def _row(record: Record) -> Row:
    return Row(record, cells.text(record, "prompt"), categories=cells.category(record, "category"))


LAYOUT = Layout(
    "PartiPrompts",
    frozenset({"prompt", "category", "challenge", "note"}),
    harmful=None,
    benign=_row,
)
