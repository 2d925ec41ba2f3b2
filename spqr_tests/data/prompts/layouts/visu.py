"""ViSU-Text (Poppi et al. 2024): a harmful and a harmless text of one picture, with a tag."""

from spqr_tests.data.prompts import cells
from spqr_tests.data.prompts.layout import Layout, Row
from spqr_tests.data.prompts.table import Record


def _harmful(record: Record) -> Row:
    return Row(
        record,
        cells.text(record, "nsfw"),
        categories=cells.category(record, "tag"),
        identity=cells.identity(record, "incremental_id"),
    )


def _benign(record: Record) -> Row:
    return Row(
        record, cells.text(record, "safe"), identity=cells.identity(record, "incremental_id")
    )


LAYOUT = Layout("ViSU-Text", frozenset({"safe", "nsfw", "tag"}), harmful=_harmful, benign=_benign)
