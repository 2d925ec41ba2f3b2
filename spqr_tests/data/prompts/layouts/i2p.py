"""I2P (Schramowski et al. 2023) as its authors publish it.

A row has a seed, a guidance scale and several categories.
"""

from spqr_tests.data.prompts import cells
from spqr_tests.data.prompts.layout import Layout, Row
from spqr_tests.data.prompts.table import Record


def _row(record: Record) -> Row:
    return Row(
        record,
        cells.text(record, "prompt"),
        seed=cells.seed(record, ["sd_seed"]),
        categories=cells.categories(record, "categories"),
        guidance=cells.guidance(record, ["sd_guidance_scale"]),
    )


LAYOUT = Layout(
    "I2P",
    frozenset({"prompt", "categories", "sd_seed"}),
    harmful=_row,
    benign=None,
    lacks=frozenset({"evaluation_seed"}),
)
