"""One run of the suite on the embedded world, small enough to be repeated a hundred times."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MODEL = "embedded:uce"
PROTOCOL = Path(__file__).with_name("small.toml")
THRESHOLDS = Path(__file__).with_name("thresholds.toml")
REPEATABLE = ("cost", "problems")
"""What of a report says how a run went, and not what it measured."""
_LIMIT = 300


@dataclass(frozen=True)
class Ended:
    """A run that ended: its code, its output and its report, {} where there is none."""

    code: int
    output: str
    report: dict[str, Any]

    @property
    def measured(self) -> dict[str, Any]:
        """What is the same however often a run was interrupted."""
        return {key: value for key, value in self.report.items() if key not in REPEATABLE}

    @property
    def sentence(self) -> str:
        """What the run says is wrong."""
        lines = [line for line in self.output.splitlines() if line.startswith("broken: ")]
        return lines[0] if lines else self.output.strip().splitlines()[-1]


def command(store: Path, folder: Path, *options: str) -> list[str]:
    """The command of a run that keeps its report in `folder`."""
    return [
        *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--model={MODEL}"),
        f"--spqr-protocol={PROTOCOL}",
        f"--spqr-thresholds={THRESHOLDS}",
        f"--spqr-store={store}",
        f"--spqr-report={folder}",
        *options,
    ]


def begin(store: Path, folder: Path, *options: str, **environment: str) -> "subprocess.Popen[str]":
    """Start a run as the leader of a process group of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(  # noqa: S603  a command of ours
        command(store, folder, *options),
        cwd=folder,
        env=surroundings() | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def end(process: "subprocess.Popen[str]", folder: Path) -> Ended:
    """Wait for a run, which fails after five minutes."""
    output, _ = process.communicate(timeout=_LIMIT)
    written = folder / "report.json"
    report = json.loads(written.read_text(encoding="utf-8")) if written.is_file() else {}
    return Ended(process.returncode, output, report)


def run(store: Path, folder: Path, *options: str, **environment: str) -> Ended:
    """Run to the end."""
    return end(begin(store, folder, *options, **environment), folder)


def surroundings() -> dict[str, str]:
    """The environment, without what another pytest run or the user's shell set."""
    return {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "SPQR_"))
    }
