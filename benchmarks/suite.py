"""The suite, run as a user runs it: in its own process, for the report that it writes."""

import os
import subprocess
import sys
from pathlib import Path

from spqr_tests.errors import EvidenceError
from spqr_tests.planning.plan import FILE, Plan
from spqr_tests.reports import report
from spqr_tests.reports.report import Report

_DECIDED = (0, 1)
"""The exit codes of a run that measured everything."""
_LOG = "pytest.log"


def measure(
    target: str, protocol: str, store: Path, folder: Path, *options: str, workers: int = 2
) -> Report:
    """The report of `target`, a value of `--model`, under the name or file of a protocol.

    The report and the output of the run are kept in `folder`. What the store holds is not made
    again. `EvidenceError` for a run that broke or measured less than it was asked for.
    """
    written = folder / report.FILE
    code = _run(target, protocol, store, folder, written, "-n", str(workers), *options)
    found = Report.model_validate_json(written.read_bytes()) if written.is_file() else None
    if code not in _DECIDED or found is None or not found.complete:
        raise _broken(target, protocol, folder, code)
    return found


def part(target: str, protocol: str, store: Path, folder: Path, *options: str) -> Report:
    """The report of the cases that `options` select, in one process; `EvidenceError` as above."""
    written = folder / report.FILE
    code = _run(target, protocol, store, folder, written, "--spqr-partial", *options)
    found = Report.model_validate_json(written.read_bytes()) if written.is_file() else None
    if code not in _DECIDED or found is None or found.problems:
        raise _broken(target, protocol, folder, code)
    return found


def plan(target: str, protocol: str, store: Path, folder: Path, *options: str) -> Plan:
    """The plan of a run that `measure` would make; nothing is measured."""
    written = folder / FILE
    code = _run(target, protocol, store, folder, written, "--spqr-plan", *options)
    if code != 0 or not written.is_file():
        raise _broken(target, protocol, folder, code)
    return Plan.model_validate_json(written.read_bytes())


def _run(
    target: str, protocol: str, store: Path, folder: Path, written: Path, *options: str
) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    # Otherwise the file of an older run could be read as that of this one.
    written.unlink(missing_ok=True)
    command = [
        *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider"),
        f"--model={target}",
        f"--spqr-protocol={protocol}",
        f"--spqr-store={store.absolute()}",
        f"--spqr-report={folder.absolute()}",
        *options,
    ]
    # Settings of another pytest run or of the user's shell must not change the measurement.
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "SPQR_"))
    }
    with (folder / _LOG).open("wb") as file:
        done = subprocess.run(  # noqa: S603  arguments of ours
            command, cwd=folder, env=environment, stdout=file, stderr=subprocess.STDOUT, check=False
        )
    return done.returncode


def _broken(target: str, protocol: str, folder: Path, code: int) -> EvidenceError:
    log = folder / _LOG
    end = log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
    return EvidenceError(
        f"The run of {target} under {protocol} ended with {code}; {log} ends with:", *end
    )
