"""MMA-Diffusion (Yang et al. 2024): adversarial prompts and their targets."""

from spqr_tests.data.prompts import cells
from spqr_tests.data.prompts.layout import Layout, Row
from spqr_tests.data.prompts.table import Record


def _row(record: Record) -> Row:
    return Row(record, cells.text(record, "adv_prompt"))


LAYOUT = Layout(
    "MMA-Diffusion", frozenset({"target_prompt", "adv_prompt"}), harmful=_row, benign=None
)
