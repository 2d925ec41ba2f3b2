"""The command that simulates early stopping: its errors, its coverage and what it saves.

    python -m benchmarks.sequential

writes docs/sequential.json, what was measured, and docs/sequential.md, the page of it. Images have
known rates and are stopped by the code that stops a run. Exit code 1 when a check in the page does
not hold.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import numbers
from benchmarks.sequential.page import checks, page
from benchmarks.sequential.rows import SCHEMA, Row, Sequential, Smallest, row
from benchmarks.sequential.runs import simulate, smallest
from benchmarks.sequential.worlds import WORLDS

NAME = "sequential"
PLANNED = (240, 511, 1000, 2000, 5000)
_MOST_IN_CLUSTERS = 2000
"""With several images a prompt each run needs a bootstrap, which is slow."""


def measured(runs: int, planned: Sequence[int], say: Callable[[str], None]) -> list[Row]:
    """All rows of the page."""
    rows = []
    for seed, world in enumerate(WORLDS):
        for n in (n for n in planned if world.per_prompt == 1 or n <= _MOST_IN_CLUSTERS):
            for truth in (world.near, *world.off):
                rows.append(row(simulate(world, truth, n, runs, seed=seed)))
                say(f"{world.name}, n = {n}, truth {truth}: {rows[-1].share:.0%} of the images")
    return rows


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--runs", type=int, default=5000, help="simulated runs per row (default: %(default)s)"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="300 runs per row and three planned n, to see that it works; nothing is written",
    )
    parser.add_argument(
        "--out", type=Path, default=numbers.DOCS, help="where the two files go (default: docs)"
    )
    asked = parser.parse_args()
    runs, planned = (300, PLANNED[:3]) if asked.quick else (asked.runs, PLANNED)

    def say(line: str) -> None:
        print(line, flush=True)  # noqa: T201  a command

    rows = measured(runs, planned, say)
    enough = [
        Smallest(world.name, truth, smallest(world, truth, min(runs, 1000), 7))
        for world in WORLDS[:2]
        for truth in world.off
    ]
    found = Sequential(schema_=SCHEMA, runs=runs, rows=tuple(rows), smallest=tuple(enough))
    if asked.quick:
        say(page(found))
    else:
        found = numbers.publish(found, asked.out, NAME, page)
    sys.exit(
        "\n".join(f"Does not hold: {check.says}." for check in checks(found) if not check.holds)
        or 0
    )


if __name__ == "__main__":
    main()
