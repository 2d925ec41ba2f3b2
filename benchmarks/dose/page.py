"""The page on dose and response, and the checks that it contains."""

from collections.abc import Iterator, Sequence

from benchmarks.dose.curves import CELL
from benchmarks.dose.rows import Cell, Curve, Dose
from benchmarks.dose.worlds import CONFIDENCE, SEED, WORLDS
from benchmarks.markdown import table

LEAST, FALSE_PASS = 0.94, 0.03
ALONE = 0.05
"""What coverage.md allows the interval of a single drift."""
_SHOWN = 12


def checks(found: Dose) -> list[tuple[str, bool]]:
    """The claims of the page, each with the extreme that decides it."""
    points = [point for curve in found.curves for point in curve.points]
    equal = sum(point.weights == point.separate for point in points)
    together = min(found.cells, key=lambda cell: cell.together)
    greatest = min(found.cells, key=lambda cell: cell.greatest)
    crossing = min(found.cells, key=lambda cell: cell.crossing)
    single = {world.name for world in WORLDS if len(world.newly) == 1}
    passed, alone = (
        max((cell.false_pass for cell in found.cells if (cell.world in single) is one), default=0.0)
        for one in (False, True)
    )
    return [
        (
            (
                "every kept step equals, to the bit, a separate training of that length"
                f" ({equal} of {len(points)})"
            ),
            equal == len(points),
        ),
        (
            (
                f"the band contains all true drifts together in at least {LEAST:.0%} of every"
                f" world's runs (least: {together.together:.1%})"
            ),
            together.together >= LEAST,
        ),
        (
            (
                f"the interval of the greatest drift covers in at least {LEAST:.0%} (least:"
                f" {greatest.greatest:.1%})"
            ),
            greatest.greatest >= LEAST,
        ),
        (
            (
                f"the interval of the step that first exceeds half of it covers in at least"
                f" {LEAST:.0%} (least: {crossing.crossing:.1%})"
            ),
            crossing.crossing >= LEAST,
        ),
        (
            (
                f"at most {FALSE_PASS:.0%} of runs pass a truth exactly on the threshold where"
                f" there are several steps (most: {passed:.1%}), and {ALONE:.0%} where there is"
                f" one, as of a drift (most: {alone:.1%})"
            ),
            passed <= FALSE_PASS and alone <= ALONE,
        ),
    ]


def page(found: Dose) -> str:
    """The page of docs/: a function of the numbers alone."""
    first = found.curves[0]
    steps = ", ".join(str(point.steps) for point in first.points)
    last = first.points[-1].steps
    return f"""\
# Dose and response

Made by `python -m benchmarks.dose` (or `tox -e dose`): do not edit. [dose.json](dose.json) has the
same numbers with more digits. An interrupted command goes on where it was.

A profile's `curve` keeps its variant at several steps of one training
([protocols.md](protocols.md#curves)), and `robustness.curve` in the thresholds bounds the drift at
all of them ([decisions.md](decisions.md#curves)).

## What it shows

{table(("", "holds"), ((says, "yes" if holds else "**NO**") for says, holds in checks(found)))}
## Curves of the embedded variants

Protocol {found.protocol}: `{CELL.profile}` on `{CELL.scenario}` for {last} steps, kept at {steps};
n = {first.n} harmful prompts. Each curve is of **one training**: trained again with another seed,
it would be another one, and the band takes in the spread between trainings that the protocol
states. It is of all steps together ({CONFIDENCE:.0%}). Between kept steps the curve is taken as
straight lines, from 0 points before the first step.

{"".join(_curve(curve) for curve in found.curves)}
## Equal to separate trainings

No step of a training depends on those that follow it: the learning rate is constant, batches are
drawn from the profile's seed epoch by epoch, and an average of weights counts the steps done. So
the variant at step s is that of a training of s steps, and the store keeps it under the key of
such a training: either finds the other. Digests of the trained tensors, of one long training and
of separate ones in another store:

{table(("variant", "steps", "on the way", "separate", "equal"), _digests(found.curves))}
A schedule that depends on the length (linear, cosine) is refused beside `curve`: at its step s the
learning rate is not what a training of s steps would have had.

## What the band covers

Simulated curves with the code of a run; seed {SEED}, {found.cells[0].runs:,} runs a cell.
Shares of runs in percent by n, the number of prompts. What is covered is the drift of the one
training that is measured; what the part for other trainings covers is simulated for
[a drift](coverage.md#drift-over-all-trainings-from-a-few), whose law each step has.

{_coverage(found.cells, "together", "The band contains the true drift at every step:")}
{_coverage(found.cells, "greatest", "The interval of the greatest drift contains it:")}
{_coverage(found.cells, "crossing", "The interval of the step that first exceeds half of it, too:")}
{_coverage(found.cells, "false_pass", "A run passes a truth that is exactly on the threshold:")}
The band is made of percentile intervals of joint bootstrap draws over prompts, all of the one
confidence at which 95 % of the draws are inside of all of them (Besag, Green, Higdon and Mengersen
1995, section 6.3). With one step it is the drift's ordinary interval. Where little changes it
covers more than it says, as that interval does, and the more so the more steps there are: what was
never seen to change is counted for each step on its own.
"""


def _curve(curve: Curve) -> str:
    rows = (
        (
            f"{point.steps}",
            f"{point.after:.1f}",
            f"{point.drift:+.1f}",
            f"{point.low:+.1f} to {point.high:+.1f}",
        )
        for point in curve.points
    )
    above = "\n".join(f"- more than {one.drift:g} points: {one.sentence}" for one in curve.above)
    head = f"### `{curve.variant}`\n\nHarmful before fine-tuning: {curve.before:.1f} %.\n\n"
    return f"{head}{table(('steps', 'harmful, %', 'drift', '95 % band'), rows)}\n{above}\n\n"


def _digests(curves: Sequence[Curve]) -> Iterator[tuple[str, ...]]:
    for curve in curves:
        for point in curve.points:
            yield (
                f"`{curve.variant}`",
                f"{point.steps}",
                f"`{point.weights[:_SHOWN]}`",
                f"`{point.separate[:_SHOWN]}`",
                "yes" if point.weights == point.separate else "**NO**",
            )


def _coverage(cells: Sequence[Cell], what: str, title: str) -> str:
    sizes = sorted({cell.n for cell in cells})
    found = {(cell.world, cell.n): f"{100 * getattr(cell, what):.1f}" for cell in cells}
    rows = (
        (world, *(found.get((world, n), "") for n in sizes))
        for world in dict.fromkeys(cell.world for cell in cells)
    )
    return f"{title}\n\n{table(('', *(f'n = {n:,}' for n in sizes)), rows)}"
