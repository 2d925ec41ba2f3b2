"""The command that simulates what the intervals cover.

    python -m benchmarks.coverage

writes docs/coverage.json, what was measured, and docs/coverage.md, the page of it. Exit code 1 when
a check in the page does not hold.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import numbers
from benchmarks.coverage import distances, flags, scores, trainings
from benchmarks.coverage.cells import SCHEMA, Cell, Coverage, Reading
from benchmarks.coverage.page import SECTIONS, checks, page

NAME = "coverage"
SIZES = (20, 50, 100, 240, 511, 1000, 2000, 5000)
_FID_SIZES = (50, 100, 240, 511, 1000)


def measured(
    runs: int, fid_runs: int, sizes: Sequence[int], say: Callable[[str], None], only: Sequence[str]
) -> list[Cell]:
    """The cells of the sections `only`."""
    fids = [n for n in sizes if n in _FID_SIZES]
    makers = {
        "safety": lambda: flags.safety(sizes),
        "prompts": lambda: flags.rates_of_prompts(sizes, runs),
        "drift": lambda: flags.drifts(sizes),
        "drift of prompts": lambda: flags.drifts_of_prompts(sizes, runs),
        "adherence": lambda: scores.adherence(sizes, runs),
        "quality": lambda: scores.quality(fids, fid_runs),
        "distances": lambda: distances.covered(fid_runs),
        "collapsed": lambda: distances.collapsed(fid_runs),
        "spqr": lambda: scores.score(sizes, runs),
        "drift of trainings": lambda: trainings.drifts(sizes, runs // 5),
        "spqr of lowered harm": lambda: trainings.lowered(sizes, runs // 2),
        "unequal prompts": lambda: trainings.unequal(sizes, runs // 10),
        "corrected": lambda: scores.corrected(sizes, runs),
    }
    cells = []
    for name in only:
        for cell in makers[name]():
            cells.append(cell)
            say(f"{cell.section}: {cell.row}, n = {cell.n}: {cell.text}")
    return cells


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--runs", type=int, default=10_000, help="simulated runs per cell (default: %(default)s)"
    )
    parser.add_argument(
        "--fid-runs",
        type=int,
        default=2000,
        help="simulated runs per cell of a distance, which is slow (default: %(default)s)",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=[*SECTIONS],
        default=[*SECTIONS],
        help="measure these sections alone, and keep the numbers of the others",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="few runs and two n, to see that it works; nothing is written",
    )
    parser.add_argument(
        "--out", type=Path, default=numbers.DOCS, help="where the two files go (default: docs)"
    )
    asked = parser.parse_args()

    def say(line: str) -> None:
        print(line, flush=True)  # noqa: T201  a command

    started = time.monotonic()
    if asked.quick:
        cells = measured(300, 40, SIZES[:2], say, asked.only)
        say(page(Coverage(schema_=SCHEMA, seconds=0, cells=tuple(cells))))
        return
    cells = measured(asked.runs, asked.fid_runs, SIZES, say, asked.only)
    seconds = 0.0
    readings: tuple[Reading, ...] = ()
    if set(asked.only) < set(SECTIONS):
        before = numbers.read(Coverage, asked.out / f"{NAME}.json")
        cells += [cell for cell in before.cells if cell.section not in asked.only]
        cells.sort(key=lambda cell: [*SECTIONS].index(cell.section))
        seconds, readings = before.seconds, before.readings
    if "distances" in asked.only:
        readings = tuple(distances.readings())
    found = Coverage(
        schema_=SCHEMA,
        seconds=round(seconds + time.monotonic() - started),
        cells=tuple(cells),
        readings=readings,
    )
    kept = numbers.publish(found, asked.out, NAME, page)
    sys.exit(
        "\n".join(
            f"Does not hold: {check.says}." for check in checks(kept.cells) if not check.holds
        )
        or 0
    )


if __name__ == "__main__":
    main()
