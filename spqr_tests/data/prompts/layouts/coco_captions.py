"""The COCO captions that concept erasure methods use for FID.

`coco_30k.csv`, with `coco_id` or with `image_id`, and `coco_10k.csv`.
"""

from spqr_tests.data.prompts import cells
from spqr_tests.data.prompts.layout import Layout, Row
from spqr_tests.data.prompts.role import is_coco
from spqr_tests.data.prompts.table import Record

# Zero-padded in some files: a file's name is made of it.
_IDENTITIES = ("coco_id", "image_id", "case_number")


def _row(record: Record) -> Row:
    if not is_coco(record):
        raise record.refusal(
            f"has the source {record.said('source') or ''!r}, and other rows are captions of COCO:"
            " select the rows in the protocol with `where`."
        )
    return Row(
        record,
        cells.text(record, "prompt"),
        seed=cells.seed(record, ["evaluation_seed"]),
        guidance=cells.guidance(record, ["evaluation_guidance", "sd_guidance_scale"]),
        identity=next(
            (said for column in _IDENTITIES if (said := cells.identity(record, column))), ""
        ),
    )


LAYOUT = Layout(
    "COCO captions",
    frozenset({"source", "prompt", "evaluation_seed"}),
    harmful=None,
    benign=_row,
    fits=lambda table: any(is_coco(record) for record in table),
    stated_by=frozenset({"source", "image_id", "coco_id"}),
)
