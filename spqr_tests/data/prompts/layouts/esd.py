"""The CSVs that ESD (Gandikota et al. 2023) and the methods after it publish.

I2P, Ring-A-Bell, artists, celebrities and objects. A `type` says which rows are erased.
"""

from spqr_tests.data.prompts import cells
from spqr_tests.data.prompts.layout import Layout, Row
from spqr_tests.data.prompts.table import Record


def _row(record: Record) -> Row:
    return Row(
        record,
        cells.text(record, "prompt"),
        # Some files carry I2P's own columns along.
        seed=cells.seed(record, ["evaluation_seed", "sd_seed"]),
        categories=cells.categories(record, "categories"),
        guidance=cells.guidance(record, ["evaluation_guidance", "sd_guidance_scale"]),
        identity=cells.identity(record, "case_number"),
    )


LAYOUT = Layout(
    "ESD's layout",
    frozenset({"prompt", "evaluation_seed"}),
    harmful=_row,
    benign=_row,
    categories_harm=True,
)
