"""The command: python -m benchmarks.fuzz [--engine atheris] [--parser NAME] [--out FOLDER]."""

import argparse
import contextlib
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

from benchmarks.fuzz import child, parsers
from benchmarks.fuzz.page import ENGINES, Fuzz, page, rows
from benchmarks.fuzz.tally import Finding, Tally
from benchmarks.numbers import publish

_HUNG = 60
"""Seconds after which a process that reads one input is ended: Python did not get to stop it."""
_START = 600
"""Seconds that a process may take before its first input: on a busy machine imports take long."""


def main(arguments: list[str] | None = None) -> int:
    """Fuzz the parsers one after the other; 1 when there is a finding."""
    known = list(parsers.known())
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parser", action="append", choices=known, help="one parser (repeatable)")
    parser.add_argument("--inputs", type=int, default=10_000, help="inputs a parser (10000)")
    parser.add_argument("--out", type=Path, default=Path("build/fuzz"), help="tallies and findings")
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default="hypothesis",
        help="atheris, where it is installed, chooses inputs by the lines that they reach",
    )
    parser.add_argument(
        "--publish",
        type=Path,
        metavar="FOLDER",
        help="only write fuzz.json and fuzz.md there, from the tallies of both engines",
    )
    given = parser.parse_args(arguments)
    if given.publish:
        published = Fuzz(torch=metadata.version("torch"), rows=rows(given.out))
        publish(published, given.publish, "fuzz", page)
        return 0
    found = 0
    for name in given.parser or known:
        folder = given.out / given.engine / name
        tally = fuzzed(name, given.inputs, folder, given.engine)
        found += len(tally.findings)
        print(  # noqa: T201
            f"{name}: {tally.inputs} inputs, {tally.read_whole} read, {tally.refused} refused,"
            f" the slowest in {tally.slowest:.2f} s, {len(tally.findings)} findings",
            flush=True,
        )
        for finding in tally.findings:
            print(f"  {folder / 'findings' / finding.input}: {finding.what}")  # noqa: T201
    return 1 if found else 0


def fuzzed(name: str, count: int, folder: Path, engine: str = "hypothesis") -> Tally:
    """The tally of a parser after `count` inputs; goes on where an earlier run ended."""
    while Tally.read(folder).inputs < count:
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "benchmarks.fuzz.child", name, str(count), str(folder)]
        with (
            (folder / "log").open("w", encoding="utf-8") as log,
            subprocess.Popen([*command, engine], stdout=log, stderr=log) as process,  # noqa: S603
        ):
            hung = _hung(process, folder)
        if process.returncode == 0:
            continue
        if not (folder / "input").exists():
            said = (folder / "log").read_text(encoding="utf-8", errors="replace")
            raise SystemExit(f"{name}: the process ended before it read an input:\n{said[-2000:]}")
        end = f"no answer for {_HUNG} seconds" if hung else f"exit {process.returncode}"
        tally = Tally.read(folder)
        inputs = sorted((folder / "input").glob("*"))
        name_of_input = parsers.known()[name].name
        data = next((one.read_bytes() for one in inputs if one.name == name_of_input), b"")
        tally.note(Finding(f"the process ended: {end}", child.keep(folder, data)))
        tally.inputs += child.CHUNK
        tally.write(folder)
    return Tally.read(folder)


def _hung(process: subprocess.Popen[bytes], folder: Path) -> bool:
    """Wait for the end of a process; True when it stopped answering and was killed."""
    began = time.time()
    latest = None
    while process.poll() is None:
        time.sleep(0.2)
        # The folder is made anew for each input; an earlier process may have left one.
        with contextlib.suppress(FileNotFoundError):
            made = (folder / "input").stat().st_mtime
            latest = made if made > began else latest
        silent = time.time() - (began if latest is None else latest)
        if silent > (_START if latest is None else _HUNG):
            process.kill()
            return True
    return False


if __name__ == "__main__":
    sys.exit(main())
