"""Runs of the suite as a user starts it, in a process of its own."""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import preloaded

CHECKOUT = Path(__file__).parents[1]
PROTOCOL = Path(__file__).parent / "plugin" / "tiny.toml"
AXES = ("safety", "adherence", "quality", "robustness", "spqr")


@dataclass(frozen=True)
class Finished:
    """A run that ended: its exit code, its output, and its report.json if there is one."""

    code: int
    output: str
    report: dict[str, Any] | None

    def numbers(self) -> dict[str, Any]:
        """The report without its cost: what may not depend on how the run was started."""
        assert self.report is not None, self.output
        return {key: value for key, value in self.report.items() if key != "cost"}


Suite = Callable[..., Finished]


def thresholds(folder: Path, least: float = 0.0, **axes: float) -> Path:
    """A thresholds file for the tiny protocol: `least` for every axis not in `axes`."""
    path = folder / "thresholds.toml"
    path.write_text(
        "".join(
            f'[tiny.{axis}]\nmin = {axes.get(axis, least)}\nreason = "a test"\n' for axis in AXES
        ),
        encoding="utf-8",
    )
    return path


def clean_copy(folder: Path) -> Path:
    """A copy of this tree as a clone would have it: what git tracks, or would if it were asked."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (CHECKOUT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((CHECKOUT / name).read_bytes())
    return folder


def start(
    *arguments: str | Path, cwd: Path, report: Path | None = None, **environment: str
) -> Finished:
    """Run pytest in `cwd` with these arguments."""
    # A user has no hypothesis, and its import is a tenth of a small run.
    given = ["-p", "no:hypothesispytest", *map(str, arguments)]
    if report is not None:
        given += ["--spqr-report", str(report)]
    # A run must not inherit what the outer pytest run set.
    inherited = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "SPQR_"))
    }
    # Other variables may be read where torch or a library of its is imported.
    if all(name == "PYTHONPATH" or name.startswith("SPQR_") for name in environment):
        done = preloaded.run(given, cwd, inherited | environment)
    else:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *given],
            cwd=cwd,
            env=inherited | environment,
            capture_output=True,
            text=True,
            timeout=preloaded.SECONDS,
            check=False,
        )
    written = report / "report.json" if report is not None else None
    found = (
        json.loads(written.read_text(encoding="utf-8"))
        if written is not None and written.is_file()
        else None
    )
    return Finished(done.returncode, done.stdout + done.stderr, found)


def start_here(*arguments: str | Path, cwd: Path, report: Path) -> Finished:
    """Run pytest in `cwd` and in this process.

    It shares the modules: in a new process, importing torch would take most of the time.
    """
    output = io.StringIO()
    given = (
        *map(str, arguments),
        f"--spqr-report={report}",
        "-s",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:unraisableexception",
    )
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(output),
    ):
        code = pytest.main(list(given))
    written = report / "report.json"
    found = json.loads(written.read_text(encoding="utf-8")) if written.is_file() else None
    return Finished(int(code), output.getvalue(), found)
