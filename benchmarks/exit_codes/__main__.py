"""The page on exit codes.

    python -m benchmarks.exit_codes

writes docs/exit-codes.md from docs/exit-codes.json. `--measure` runs every way anew, without and
with `-n 2`: about an hour on two idle cores; what its work folder holds is not run again.
Published plugins are installed before: `pip install --no-deps --target DIR/NAME NAME` for each, and
`--packages DIR`.
"""

import argparse
import hashlib
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from benchmarks import numbers
from benchmarks.exit_codes import page
from benchmarks.exit_codes.rows import ExitCodes, Result, Row
from benchmarks.exit_codes.running import WORKERS, World
from benchmarks.exit_codes.way import Way
from benchmarks.exit_codes.ways import WAYS
from benchmarks.numbers import DOCS

_SAID = ("what", "asked", "beyond")
"""What the page says of a way, which changes nothing of what it leads to."""
Task = tuple[str, Way, tuple[str, ...]]


def _key(kind: str, way: Way, workers: tuple[str, ...]) -> str:
    done = {key: value for key, value in asdict(way).items() if key not in _SAID}
    text = json.dumps([kind, done, workers], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _measured(work: Path, packages: Path, jobs: int, only: str) -> dict[str, Result]:
    """What every way leads to, by key; what `work` holds is not run again."""
    kept = work / "results.jsonl"
    work.mkdir(parents=True, exist_ok=True)
    found: dict[str, Result] = {}
    if kept.is_file():
        for line in kept.read_text(encoding="utf-8").splitlines():
            key, result = json.loads(line)
            found[key] = Result.model_validate(result)
    tasks: list[Task] = [
        (kind, way, workers)
        for workers in ((), WORKERS)
        for kind, ways in reversed(WAYS.items())
        for way in ways
        if only in way.what and _key(kind, way, workers) not in found
    ]
    world = World(work, packages)
    world.fill()

    def run(numbered: tuple[int, Task]) -> tuple[Task, Result]:
        number, (kind, way, workers) = numbered
        own = World(work / f"{number}", packages, world.store)
        return (kind, way, workers), own.result(way, workers)

    with ThreadPoolExecutor(jobs) as pool, kept.open("a", encoding="utf-8") as file:
        for (kind, way, workers), result in pool.map(run, enumerate(tasks)):
            key = _key(kind, way, workers)
            found[key] = result
            file.write(json.dumps([key, result.model_dump()]) + "\n")
            file.flush()
            said = f"{result.code:>4} {' '.join(workers):<4} {way.what}: {result.sentence}\n"
            sys.stdout.write(said)
            sys.stdout.flush()
    return found


def _rows(found: dict[str, Result]) -> ExitCodes:
    rows = [
        Row(
            kind=kind,
            what=way.what,
            asked=way.asked,
            beyond=way.beyond,
            alone=found[_key(kind, way, ())],
            workers=found.get(_key(kind, way, WORKERS)),
        )
        for kind, ways in WAYS.items()
        for way in ways
    ]
    names = sorted({way.package for ways in WAYS.values() for way in ways if way.package})
    return ExitCodes(
        schema_="spqr-exit-codes/1",
        pytest=metadata.version("pytest"),
        xdist=metadata.version("pytest-xdist"),
        packages=names,
        rows=rows,
    )


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--work", type=Path, default=Path("exit-codes-work"))
    parser.add_argument("--packages", type=Path, default=Path("exit-codes-packages"))
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 2) // 2))
    parser.add_argument("--only", default="", help="ways whose description holds this; no page")
    given = parser.parse_args()
    if given.measure:
        found = _measured(given.work.absolute(), given.packages.absolute(), given.jobs, given.only)
        if given.only:
            return
        _rows(found).write(DOCS / page.NUMBERS)
    read = numbers.read(ExitCodes, DOCS / page.NUMBERS)
    (DOCS / page.PAGE).write_text(page.page(read), encoding="utf-8")


if __name__ == "__main__":
    main()
