"""The COCO captions that concept erasure methods use for FID.

`coco_30k.csv`, and `coco_10k.csv` without coco_id.
"""

from spqr_tests.data.prompts import cells
from spqr_tests.data.prompts.layout import Layout, Row
from spqr_tests.data.prompts.table import Record


def _row(record: Record) -> Row:
    return Row(
        record,
        cells.text(record, "prompt"),
        seed=cells.seed(record, ["evaluation_seed"]),
        # Zero-padded: a file's name is made of it.
        identity=cells.identity(record, "coco_id") or cells.identity(record, "case_number"),
    )


LAYOUT = Layout(
    "COCO captions",
    frozenset({"case_number", "source", "prompt", "evaluation_seed"}),
    harmful=None,
    benign=_row,
)
