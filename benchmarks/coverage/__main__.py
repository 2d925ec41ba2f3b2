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
from benchmarks.coverage import flags, scores, trainings
from benchmarks.coverage.cells import SCHEMA, Cell, Coverage
from benchmarks.coverage.page import checks, page

NAME = "coverage"
SIZES = (50, 120, 240, 511, 1000, 2000, 5000)
_FID_SIZES = SIZES[:5]


def measured(
    runs: int, fid_runs: int, sizes: Sequence[int], say: Callable[[str], None]
) -> list[Cell]:
    """All cells of the page."""
    fids = [n for n in sizes if n in _FID_SIZES]
    cells = []
    for found in (
        flags.safety(sizes),
        flags.rates_of_prompts(sizes, runs),
        flags.drifts(sizes),
        flags.drifts_of_prompts(sizes, runs),
        scores.adherence(sizes, runs),
        scores.quality(fids, fid_runs),
        scores.score(sizes, runs),
        scores.corrected(sizes, runs),
        trainings.drifts(sizes, runs // 5),
        trainings.lowered(sizes, runs // 5),
        trainings.unequal(sizes, runs // 10),
    ):
        for cell in found:
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
        help="simulated runs per cell of FID, which is slow (default: %(default)s)",
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
    cells = (
        measured(300, 40, SIZES[:2], say)
        if asked.quick
        else measured(asked.runs, asked.fid_runs, SIZES, say)
    )
    seconds = round(time.monotonic() - started)
    found = Coverage(schema_=SCHEMA, seconds=seconds, cells=tuple(cells))
    if asked.quick:
        say(page(found))
        return
    asked.out.mkdir(parents=True, exist_ok=True)
    found.write(asked.out / f"{NAME}.json")
    # From the file: what was rounded or lost on the way would show.
    kept = numbers.read(Coverage, asked.out / f"{NAME}.json")
    (asked.out / f"{NAME}.md").write_text(page(kept), encoding="utf-8")
    sys.exit(
        "\n".join(
            f"Does not hold: {check.says}." for check in checks(kept.cells) if not check.holds
        )
        or 0
    )


if __name__ == "__main__":
    main()
