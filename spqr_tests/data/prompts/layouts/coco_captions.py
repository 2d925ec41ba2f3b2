"""The COCO captions that concept erasure methods use for FID.

`coco_30k.csv`, with `coco_id` or with `image_id`, and `coco_10k.csv`.
"""

from spqr_tests import quotes
from spqr_tests.data.prompts import cells
from spqr_tests.data.prompts.layout import Layout, Row
from spqr_tests.data.prompts.roles import of_coco
from spqr_tests.data.prompts.table import Record, Table
from spqr_tests.settings.prompts import cell_value

# Zero-padded in some files: a file's name is made of it.
_IDENTITIES = ("coco_id", "image_id", "case_number")
_MARKS = frozenset({"source", "coco_id", "image_id"})


def _row(record: Record) -> Row:
    return Row(
        record,
        cells.text(record, "prompt"),
        seed=cells.seed(record, ["evaluation_seed"]),
        guidance=cells.guidance(record, ["evaluation_guidance", "sd_guidance_scale"]),
        identity=next((said for name in _IDENTITIES if (said := cells.identity(record, name))), ""),
    )


def _row_of_source(record: Record) -> Row:
    if (source := cell_value(record.get("source"))) and not of_coco(record):
        raise record.refusal(
            f"has the source {quotes.quoted(source)}, and other rows are captions of COCO: say in"
            " the protocol which rows it takes, with where."
        )
    return _row(record)


def _has_coco(table: Table) -> bool:
    return any(of_coco(record) for record in table)


LAYOUTS = (
    Layout(
        "COCO captions",
        frozenset({"prompt", "evaluation_seed", "source"}),
        harmful=None,
        benign=_row_of_source,
        fits=_has_coco,
        marks=_MARKS,
    ),
    *(
        Layout(
            "COCO captions",
            frozenset({"prompt", "evaluation_seed", identity}),
            harmful=None,
            benign=_row,
            # What a caption is harmful by, nobody says.
            lacks=frozenset({"categories"}),
            marks=_MARKS,
        )
        for identity in ("coco_id", "image_id")
    ),
)
