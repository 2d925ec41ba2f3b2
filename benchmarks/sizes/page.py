"""The page on memory."""

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from benchmarks.markdown import table
from benchmarks.numbers import STRICT, Numbers

SCHEMA: Literal["spqr-memory/1"] = "spqr-memory/1"


@dataclass(frozen=True, config=STRICT)
class Row:
    """One stage of one model."""

    model: str
    stage: str
    predicted: int
    """Bytes, as a plan says it."""
    measured: int
    """Bytes."""
    seconds: float


class Sizes(Numbers):
    """All rows of the page."""

    schema_: Literal["spqr-memory/1"] = Field(alias="schema")
    rows: tuple[Row, ...] = Field(min_length=1)


CARD = (
    ("Stable Diffusion 1.5, 512 px", "generating, 8 at once", 6.495),
    ("Stable Diffusion 1.5, 512 px", "generating, 16 at once", 10.791),
    ("Stable Diffusion 1.5, 512 px", "generating, 32 at once", 10.843),
    ("Stable Diffusion XL, 1024 px", "generating, 4 at once", 24.518),
    ("FLUX.1, 1024 px", "generating, 2 at once", 38.16),
    ("Stable Diffusion 1.5, 512 px", "training lite, batch 16", 23.713),
    ("Stable Diffusion 1.5, 512 px", "training moderate, batch 16", 20.507),
    ("Stable Diffusion 1.5, 512 px", "training standard, batch 16", 34.601),
)
"""GB that torch's allocator counted at the peak, on one H100, with random weights.

`tests/planning/test_memory.py` holds the predictions to within 10 % of them.
"""


def page(found: Sizes) -> str:
    """The page of docs/: a function of the numbers alone."""
    rows = table(
        ("model", "stage", "predicted GB", "measured GB", "predicted / measured", "seconds"),
        (
            (
                one.model,
                one.stage,
                f"{one.predicted / 1e9:.2f}",
                f"{one.measured / 1e9:.2f}",
                f"{one.predicted / one.measured:.2f}",
                f"{one.seconds:.0f}",
            )
            for one in found.rows
        ),
    )
    card = table(("model", "stage", "measured GB"), ((a, b, f"{gb:.1f}") for a, b, gb in CARD))
    return f"""\
# How much memory models of real sizes take

Made by `python -m benchmarks.sizes`: do not edit. [memory.json](memory.json) has the same numbers.

A plan (`--spqr-plan`) says how much memory generating and each training take, and for which card
they are too much (`--spqr-plan-device`). It counts the tensors that are alive at once, on shapes
alone, and a factor for what libraries need besides. Here models with random weights of the
published sizes are written as folders, loaded, planned, generate a micro-batch of 2 images of
256 px in bfloat16, and train one step on a batch of 2, on a CPU, with the suite's own code. The
weights of the whole pipeline are part of every number. Seconds include starting and planning.

{rows}
## On a card

Measured once on an H100 with random weights and the same code. The predictions are within 10 %
of these, which the tests hold them to.

{card}
Stable Diffusion XL at 1024 px does not train on a batch of 16 in 80 GB: its plan says so, and the
suite then recomputes activations (gradient checkpointing), which takes longer and changes nothing
else.
"""
