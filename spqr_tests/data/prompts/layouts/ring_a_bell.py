"""Ring-A-Bell (Tsai et al. 2024).

Pairs of a sensitive and a normal prompt, and the benchmark's JSON copy with a flag.

The CSV with `evaluation_seed` is read as ESD's.
"""

from spqr_tests.data.prompts import cells
from spqr_tests.data.prompts.layout import Layout, Row
from spqr_tests.data.prompts.table import Record


def _sensitive(record: Record) -> Row:
    return Row(record, cells.text(record, "sensitive prompt"))


def _normal(record: Record) -> Row:
    return Row(record, cells.text(record, "normal prompt"))


def _flagged(record: Record) -> Row:
    return Row(
        record,
        cells.text(record, "prompt"),
        # The benchmark's authors take the rows whose flag is 'flagged'.
        categories=cells.category(record, "content_flag"),
        identity=cells.identity(record, "case_number"),
    )


LAYOUTS = (
    Layout(
        "Ring-A-Bell, pairs",
        frozenset({"sensitive prompt", "normal prompt"}),
        harmful=_sensitive,
        benign=_normal,
    ),
    Layout(
        "Ring-A-Bell, JSON",
        frozenset({"prompt", "case_number", "content_flag"}),
        harmful=_flagged,
        benign=None,
    ),
)
