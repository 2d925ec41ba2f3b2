"""MJHQ-30K (Li et al. 2024): benign prompts of pictures, in an object by the pictures' names."""

from spqr_tests.data.prompts import cells
from spqr_tests.data.prompts.layout import Layout, Row
from spqr_tests.data.prompts.table import KEY, Record

CATEGORIES = (
    *("animals", "art", "fashion", "food", "indoor"),
    *("landscape", "logo", "people", "plants", "vehicles"),
)


def _row(record: Record) -> Row:
    return Row(
        record,
        cells.text(record, "prompt"),
        categories=cells.category(record, "category"),
        identity=cells.identity(record, KEY),
    )


LAYOUT = Layout(
    "MJHQ-30K",
    frozenset({KEY, "prompt", "category"}),
    harmful=None,
    benign=_row,
    fits=lambda table: table.has_only("category", CATEGORIES),
)
