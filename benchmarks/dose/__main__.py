"""The command that measures curves and simulates what their bands cover.

    python -m benchmarks.dose

writes docs/dose.json, what was measured, and docs/dose.md, the page of it. What the store and the
simulation's notes hold is not made again, so an interrupted command goes on where it was: about an
hour on two cores where nothing is there. Exit code 1 when a check in the page does not hold.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

import platformdirs

from benchmarks import numbers
from benchmarks.dose import curves, worlds
from benchmarks.dose.page import checks, page
from benchmarks.dose.rows import SCHEMA, Cell, Dose
from spqr_tests.errors import EvidenceError, InputError

NAME = "dose"
VARIANTS = ("esd-u", "esd-x", "uce")
STEPS = (10, 25, 50, 75, 100, 150, 200)
_STORE = platformdirs.user_cache_path("spqr-tests") / "store"
_CELLS = "cells.jsonl"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--variants", nargs="+", default=VARIANTS, metavar="NAME")
    parser.add_argument("--steps", nargs="+", type=int, default=STEPS)
    parser.add_argument(
        "--runs", type=int, default=1000, help="simulated runs per cell (default: %(default)s)"
    )
    parser.add_argument(
        "--part", choices=("curves", "coverage"), help="make only this, and write no page"
    )
    parser.add_argument(
        "--store", type=Path, default=_STORE, help="where evidence is kept (default: %(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, default=numbers.DOCS, help="where the two files go (default: docs)"
    )
    asked = parser.parse_args()
    folder = (asked.store / NAME).absolute()
    made, protocol = [], ""
    cells: tuple[Cell, ...] = ()
    try:
        if asked.part != "coverage":
            path = curves.write_protocol(folder, asked.steps)
            for variant in asked.variants:
                curve, protocol = curves.measured(variant, path, asked.store, folder, _say)
                made.append(curve)
        if asked.part != "curves":
            cells = simulated(folder / _CELLS, asked.runs)
    except (InputError, EvidenceError) as error:
        sys.exit(str(error))
    if asked.part is not None:
        return
    found = Dose(schema_=SCHEMA, protocol=protocol, curves=tuple(made), cells=cells)
    kept = numbers.publish(found, asked.out, NAME, page)
    sys.exit("\n".join(f"Does not hold: {says}." for says, holds in checks(kept) if not holds) or 0)


def simulated(notes: Path, runs: int) -> tuple[Cell, ...]:
    """All cells, each noted as soon as it is done."""
    notes.parent.mkdir(parents=True, exist_ok=True)
    lines = notes.read_text("utf-8").splitlines() if notes.is_file() else []
    done = [Cell(**json.loads(line)) for line in lines]

    def keep(cell: Cell) -> None:
        with notes.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(asdict(cell))}\n")
        _say(f"{cell.world}, n = {cell.n}: {cell.together:.1%} together")

    return tuple(worlds.cells(runs, worlds.SIZES, done, keep))


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  a command


if __name__ == "__main__":
    main()
