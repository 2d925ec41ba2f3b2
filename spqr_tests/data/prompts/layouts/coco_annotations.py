"""COCO's own annotations (`captions_*.json`).

Of several captions a picture, the first by id is taken.
"""

from dataclasses import replace

from spqr_tests import quotes
from spqr_tests.data.prompts import cells
from spqr_tests.data.prompts.layout import Layout, Row
from spqr_tests.data.prompts.table import Record, Table


def _records(table: Table) -> tuple[Table, list[str]]:
    """One record a picture, in the order in which pictures are first named."""
    first: dict[int, tuple[int, Record]] = {}
    for record in table:
        picture, annotation = (_number(record, column) for column in ("image_id", "id"))
        if picture not in first or annotation < first[picture][0]:
            first[picture] = (annotation, record)
    kept = tuple(record for _, record in first.values())
    notes = []
    if further := len(table.records) - len(kept):
        verb = "is" if further == 1 else "are"
        notes.append(
            f"{further} of {len(table.records)} captions {verb} left out: of several captions a"
            " picture, the first by id is taken"
        )
    return replace(table, records=kept), notes


def _number(record: Record, column: str) -> int:
    value = record.get(column)
    if not isinstance(value, int) or isinstance(value, bool):
        raise record.refusal(f"has the {column} {quotes.shown(value)}; expected a whole number.")
    return value


def _row(record: Record) -> Row:
    return Row(record, cells.text(record, "caption"), identity=cells.identity(record, "image_id"))


LAYOUT = Layout(
    "COCO annotations",
    frozenset({"image_id", "id", "caption"}),
    harmful=None,
    benign=_row,
    records=_records,
)
