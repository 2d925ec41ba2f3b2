"""The page of what was timed."""

from typing import Literal

from pydantic import Field

from benchmarks.markdown import table
from benchmarks.numbers import Numbers
from benchmarks.speed.ratio import Ratio

NAME = "performance"


class Performance(Numbers):
    """What was timed, by part."""

    schema_: Literal["spqr-performance/1"] = Field(alias="schema")
    suite: str
    torch: str
    machine: str
    parts: dict[str, Ratio]


def page(found: Performance) -> str:
    """The page of docs/: a function of what was timed."""
    rows = table(
        ("part", "ratio", "ours", "the other way", "unit", "what is compared"),
        (
            (
                f"`{name}`",
                f"{one.ratio:.2f}",
                f"{one.ours:.3g}",
                f"{one.theirs:.3g}",
                one.unit,
                one.what,
            )
            for name, one in found.parts.items()
        ),
    )
    return f"""\
# How fast it is

Made by `python -m benchmarks.speed` (or `tox -e speed`): do not edit.
[performance.json](performance.json) has the same numbers. {found.suite} with torch {found.torch} on
{found.machine}; ratios above 1 say that ours is faster. Both ways were timed in turns in one run,
and the shortest time of each counts. On a shared machine a ratio moves by a tenth or two from run
to run. What a card does is [another page](performance-card.md).

{rows}
What makes the difference on a CPU:

- Images are generated in micro-batches of one shape, so that what a prompt and a seed give does not
  depend on what else is generated. Text embeddings are made once.
- Linear layers are computed by oneDNN, as convolutions of one pixel, and not by MKL, which does not
  use AVX-512 on AMD's processors; on those without it, what is trained is left to MKL, whose
  gradients are faster there. Convolutions' weights lie with their colours last.
- A fine-tune encodes its pictures and captions once for all of its steps, and for all profiles that
  follow on the same set. Its AdamW is fused. A LoRA's dropout, which diffusers' scripts lack, takes
  a part of the gain of `lite` back.
- NudeNet's images are computed by one thread each, as many side by side as there are cores, and
  candidates are filtered by numpy.
- FID takes singular values of a matrix as large as the number of pictures, not of features.
- Two workers share the run's [items of work](scale.md): while one trains, the other generates.

Collecting reads the protocol, its prompts and its pictures, which an empty pytest does not.
"""
