"""The suite, run as a user runs it: a process of its own, and the report it leaves."""

import os
import subprocess
import sys
from pathlib import Path

from spqr_tests.errors import EvidenceError
from spqr_tests.reports.report import Report

_DECIDED = (0, 1)
"""The exit codes of a run that measured everything."""


def measure(
    target: str, protocol: str, store: Path, folder: Path, *options: str, workers: int = 2
) -> Report:
    """The report of `target` (what `--model` takes) under a protocol's name or file; `folder` keeps it, and what the run printed.

    What the store holds is not made again. `EvidenceError` for a run that broke or measured less
    than it was asked for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written, log = folder / "report.json", folder / "pytest.log"
    written.unlink(missing_ok=True)  # an older run's would pass for this one's
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-n",
        str(workers),
        f"--model={target}",
    ]
    command += [
        f"--spqr-protocol={protocol}",
        f"--spqr-store={store.absolute()}",
        f"--spqr-report={folder.absolute()}",
        *options,
    ]
    # What another pytest run, or the user's shell, has set is no part of the measurement.
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "SPQR_"))
    }
    with log.open("wb") as file:
        done = subprocess.run(
            command, cwd=folder, env=environment, stdout=file, stderr=subprocess.STDOUT, check=False
        )  # noqa: S603  arguments of ours
    report = Report.model_validate_json(written.read_bytes()) if written.is_file() else None
    if done.returncode not in _DECIDED or report is None or not report.complete:
        end = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
        raise EvidenceError(
            f"The run of {target} under {protocol} ended with {done.returncode}; {log} ends"
            f" with:\n{end}"
        )
    return report
