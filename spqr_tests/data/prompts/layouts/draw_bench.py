"""DrawBench (Saharia et al. 2022): benign prompts, each with one of its categories."""

from spqr_tests.data.prompts import cells
from spqr_tests.data.prompts.layout import Layout, Row
from spqr_tests.data.prompts.table import Record

CATEGORIES = (
    *("Colors", "Conflicting", "Counting", "DALL-E", "Descriptions", "Gary Marcus et al."),
    *("Misspellings", "Positional", "Rare Words", "Reddit", "Text"),
)


def _row(record: Record) -> Row:
    return Row(record, cells.text(record, "prompts"), categories=cells.category(record, "category"))


LAYOUT = Layout(
    "DrawBench",
    frozenset({"prompts", "category"}),
    harmful=None,
    benign=_row,
    fits=lambda table: table.has_only("category", CATEGORIES),
)
