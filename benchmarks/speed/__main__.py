"""How fast the suite is, beside the plain way to do the same.

    python -m benchmarks.speed

writes docs/performance.json and docs/performance.md (about 20 minutes on two cores; each part takes
under nine). `--only NAME` times one part and leaves the others as they were timed before; `--json`
prints what was timed as one object, and writes nothing.
"""

import argparse
import json
import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.numbers import DOCS, publish, read
from benchmarks.speed.page import NAME, Performance, page
from benchmarks.speed.parts import PARTS
from spqr_tests.store import device


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=PARTS, action="append", help="may be repeated")
    parser.add_argument("--json", action="store_true", help="print one object and write nothing")
    parser.add_argument(
        "--out", type=Path, default=DOCS, help="where the two files go (default: docs)"
    )
    asked = parser.parse_args()
    found = {}
    for name in asked.only or PARTS:
        found[name] = PARTS[name]()
        line = f"{name}: {found[name].ratio:.2f}x, {found[name].what}\n"
        (sys.stderr if asked.json else sys.stdout).write(line)
    measured = Performance(
        schema_="spqr-performance/1",
        suite=f"spqr-tests {metadata.version('spqr-tests')}",
        torch=metadata.version("torch"),
        machine=machine(),
        parts=found,
    )
    if asked.json:
        values: dict[str, Any] = {name: one.model_dump() for name, one in found.items()}
        if asked.only is None and device.resolve("auto") != "cpu":
            values["ceiling"] = card()
        sys.stdout.write(json.dumps(values | {"machine": measured.machine}, indent=1) + "\n")
    else:
        publish(_with_earlier(measured, asked.out / f"{NAME}.json"), asked.out, NAME, page)


def card() -> dict[str, Any]:
    """The FLOP/s of a matrix product on this machine's card, and the shares that models reach."""
    from benchmarks.card import speed
    from benchmarks.card.page import share

    ceiling = speed.ceiling("cuda")
    shares = {f"{one.model}, {one.what}": share(one, ceiling) for one in speed.rates("cuda")}
    return {"flops": ceiling, "shares": shares}


def _with_earlier(measured: Performance, path: Path) -> Performance:
    """With the parts that were timed before, on the same machine with the same versions."""
    if not path.is_file():
        return measured
    earlier = read(Performance, path)
    if earlier.model_copy(update={"parts": measured.parts}) != measured:
        return measured
    parts = earlier.parts | measured.parts
    return measured.model_copy(
        update={"parts": {name: parts[name] for name in PARTS if name in parts}}
    )


def machine() -> str:
    """The processor as the system names it, what torch uses of it, and the cores.

    Of one name there are processors with AVX-512 and without, which are not equally fast.
    """
    import torch

    names = [
        line.partition(":")[2].strip()
        for line in _lines(Path("/proc/cpuinfo"))
        if line.startswith("model name")
    ]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name} with {torch.backends.cpu.get_cpu_capability()}, {os.cpu_count()} cores"


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


if __name__ == "__main__":
    main()
