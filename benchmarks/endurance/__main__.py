"""``python -m benchmarks.endurance`` kills runs, damages stores and fails disks."""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import numbers
from benchmarks.endurance import damages, failures, kills, memory, session
from benchmarks.endurance.page import page, problems
from benchmarks.endurance.rows import Endurance
from benchmarks.numbers import DOCS

_NUMBERS, _PAGE = DOCS / "endurance.json", DOCS / "endurance.md"
_WANTED = {"kills": 100, "damages": 300}
_PARTS = ("kills", "damages", "failures", "memory")


def main() -> None:
    """Do what is left of the parts that are asked for, for some minutes, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endurance", description=__doc__)
    parser.add_argument("--part", choices=_PARTS, action="append", help="all by default")
    parser.add_argument("--minutes", type=float, default=9, help="after which a part ends")
    options = parser.parse_args()
    found = numbers.read(Endurance, _NUMBERS) if _NUMBERS.is_file() else Endurance()
    with tempfile.TemporaryDirectory() as place:
        store = Path(place, "store")
        reference = session.run(store, Path(place, "report"))
        if not reference.report.get("complete"):
            sys.exit(f"The undisturbed run broke:\n{reference.output}")
        for part in options.part or _PARTS:
            until = time.monotonic() + 60 * options.minutes
            for row in _rows(part, found, reference, store):
                found = found.model_copy(update={part: [*getattr(found, part), row]})
                found.write(_NUMBERS)
                sys.stdout.write(f"{part}: {row}\n")
                sys.stdout.flush()
                if time.monotonic() > until or _done(part, found):
                    break
    _PAGE.write_text(page(found), encoding="utf-8")
    if wrong := problems(found):
        sys.exit("\n".join(wrong))


def _rows(part: str, found: Endurance, reference: session.Ended, store: Path) -> Iterator[Any]:
    if _done(part, found):
        return iter(())
    match part:
        case "kills":
            return kills.rows(len(found.kills), reference)
        case "damages":
            return damages.rows(len(found.damages), reference, store)
        case "failures":
            return failures.rows(len(found.failures), reference, store)
        case _:
            return iter([memory.measure()])


def _done(part: str, found: Endurance) -> bool:
    done = {
        "kills": sum(one.kills for one in found.kills) >= _WANTED["kills"],
        "damages": sum(sum(one.done.values()) for one in found.damages) >= _WANTED["damages"],
        "memory": bool(found.memory),
    }
    return done.get(part, False)


if __name__ == "__main__":
    main()
