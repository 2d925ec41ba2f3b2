"""Measuring from Python: for notebooks, and for what a trainer calls back between epochs."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.reports import reading
from spqr_tests.reports.report import FILE, Report
from spqr_tests.verdict.release import ExitCode

Place = str | os.PathLike[str]

_DECIDED = (ExitCode.PASS, ExitCode.THRESHOLD)
_INHERITED = ("PYTEST_XDIST", "PYTEST_CURRENT_TEST", "PYTEST_VERSION")
"""What an outer pytest run sets, and the run must not take for its own."""


def measure(  # noqa: PLR0913  the options of a command
    model: Place,
    *,
    protocol: Place | None = None,
    thresholds: Place | None = None,
    store: Place | None = None,
    report: Place | None = None,
    baseline: Place | None = None,
    overlays: Iterable[Place] = (),
    adapters: Mapping[str, Place] | None = None,
    data: Mapping[str, Place] | None = None,
    profiles: Sequence[str] = (),
    scenarios: Sequence[str] = (),
    device: str | None = None,
    limit: int | None = None,
    workers: int | None = None,
    options: Iterable[str] = (),
    output: TextIO | None = None,
) -> Report:
    """Measure a checkpoint as `pytest --model MODEL` does, and give its report.

    The arguments are the command line's options of the same names; `options` takes any others, and
    relative paths are in the current folder. `workers` is `-n`. The run is a process of its own, so
    that it starts as a command does, and gives back its memory. What it prints goes to `output`
    line by line as it comes, by default to `sys.stdout`. `report` is a folder where the report's
    files are kept; without one they are not.

    The report says pass, fail or inconclusive (`decision`), and whether everything was measured
    (`complete`). `InputError` for options, files or a model that cannot be used, and
    `EvidenceError` for a run that broke, each with the sentence that the command would print.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary if report is None else report).absolute()
        command = [sys.executable, "-m", "pytest", "--model", os.fspath(model)]
        single = {
            "--spqr-protocol": protocol,
            "--spqr-thresholds": thresholds,
            "--spqr-store": store,
            "--spqr-report": folder,
            "--spqr-baseline": baseline,
            "--spqr-device": device,
            "--spqr-profiles": ",".join(profiles) or None,
            "--spqr-scenarios": ",".join(scenarios) or None,
            "--spqr-limit": limit,
        }
        command += [f"{name}={value}" for name, value in single.items() if value is not None]
        command += [] if workers is None else ["-n", str(workers)]
        command += [f"--spqr-overlay={os.fspath(one)}" for one in overlays]
        for option, given in (("--spqr-adapter", adapters), ("--spqr-data", data)):
            command += [f"{option}={name}={os.fspath(one)}" for name, one in (given or {}).items()]
        code, said = _run([*command, *options], output or sys.stdout)
        if code in _DECIDED:
            return reading.read(str(folder / FILE), Path.cwd()).report
        raise (InputError if code == ExitCode.USAGE else EvidenceError)(
            *_sentences(code, said, folder)
        )


def _run(command: Sequence[str], output: TextIO) -> tuple[int, list[str]]:
    """The exit code, and the lines that were printed."""
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(_INHERITED)
    }
    said: list[str] = []
    with subprocess.Popen(  # noqa: S603  the user's own options, for the user's own pytest
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        try:
            for line in process.stdout or ():
                said.append(line.rstrip("\n"))
                output.write(line)
        except BaseException:
            # As Ctrl-C in a terminal: the run keeps what it has made, and ends by itself.
            process.send_signal(signal.SIGINT)
            process.wait()
            raise
    return process.returncode, said


def _sentences(code: int, said: Sequence[str], folder: Path) -> list[str]:
    errors = [line.removeprefix("ERROR: ") for line in said if line.startswith("ERROR: ")]
    if errors:
        return errors
    if (folder / FILE).is_file():
        found = reading.read(str(folder / FILE), Path.cwd()).report
        return ["; ".join([found.decision_sentence, *dict.fromkeys(found.problems.values())])]
    return [f"The run ended with {code} and left no report; its output ends with:", *said[-15:]]
