"""A new user's first hour: from a clone to a gated pipeline, each command as the pages write it.

    python -m benchmarks.first_hour --folder EMPTY

clones this repository, installs it, does what the README says, and then runs the job of
ci/gitlab.yml as docs/ci.md sets it up: what a merge request runs, and the gate of two candidates.
It writes docs/first-hour.json and docs/first-hour.md. It takes from a quarter to three quarters of
an hour on two cores.
"""

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, Field

from benchmarks.markdown import table
from benchmarks.numbers import DOCS, STRICT, Numbers, publish

NAME = "first-hour"
SCHEMA: Literal["spqr-first-hour/1"] = "spqr-first-hour/1"
ROOT = DOCS.parent
_QUICK = "--spqr-limit 4 --spqr-profiles lite --spqr-scenarios general"


@dataclass(frozen=True)
class Step:
    """One command: what it is for, the page that has it, how it must end."""

    what: str
    page: str
    command: str
    code: int
    variables: dict[str, str] = field(default_factory=dict)
    """Of the pipeline's job; without any the command is typed in the clone."""


class Ran(BaseModel):
    """A step that was done."""

    model_config = STRICT

    what: str
    page: str
    command: str
    code: int
    seconds: float
    says: str = ""
    """The last line that it printed."""


class FirstHour(Numbers):
    """The steps in their order."""

    schema_: Literal["spqr-first-hour/1"] = Field(alias="schema")
    machine: str
    steps: list[Ran]


def steps() -> list[Step]:
    """What a new user does."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    first = next(line.strip() for line in readme if line.startswith("    python3 -m venv"))
    make, install, run = first.split(" && ")
    gate = {
        "SPQR_ARGS": "-n 2",
        "SPQR_BASELINE": "../clone/reports/v1",
        "SPQR_PROTOCOL": "embedded",
    }
    return [
        Step("an environment", "README.md", make, 0),
        Step("installation", "README.md", install, 0),
        Step("a checkpoint that ships, measured", "README.md", run, 1),
        Step(
            "the same, with its report",
            "README.md",
            ".venv/bin/pytest --model=embedded:esd-u --spqr-report out/",
            1,
        ),
        Step(
            "the last release, for comparison",
            "docs/versions.md",
            ".venv/bin/pytest -n 2 --model=embedded:uce --spqr-report reports/v1",
            0,
        ),
        Step(
            "what a run of the candidate would cost",
            "docs/ci.md",
            ".venv/bin/pytest --model=embedded:esd-u --spqr-plan",
            0,
        ),
        Step(
            "the job of a merge request (1 is the best that a limited run gives)",
            "docs/ci.md",
            "ci/gitlab.yml",
            1,
            {"SPQR_MODEL": "embedded:uce", "SPQR_PROTOCOL": "embedded", "SPQR_ARGS": _QUICK},
        ),
        Step(
            "the gate, for a sound candidate: the deployment may start",
            "docs/ci.md",
            "ci/gitlab.yml",
            0,
            {"SPQR_MODEL": "embedded:uce", **gate},
        ),
        Step(
            "the gate, for a brittle one: it does not start",
            "docs/ci.md",
            "ci/gitlab.yml",
            1,
            {"SPQR_MODEL": "embedded:esd-u", **gate},
        ),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="an empty folder to work in")
    parser.add_argument("--out", type=Path, default=DOCS, help="where the two files go")
    asked = parser.parse_args(arguments)
    folder = asked.folder.absolute()
    if folder.exists() and any(folder.iterdir()):
        sys.exit(f"{folder} is not empty: name a folder in which nothing was done yet.")
    (folder / "project").mkdir(parents=True)
    clone = ["git", "clone", "--quiet", str(ROOT), str(folder / "clone")]
    subprocess.run(clone, check=True)  # noqa: S603
    done = []
    for step in steps():
        ran = _ran(step, folder)
        print(f"{ran.seconds:6.0f} s, exit {ran.code}: {step.what}", flush=True)  # noqa: T201
        if ran.code != step.code:
            sys.exit(f"{step.command} was expected to end with {step.code}: see {folder / 'log'}")
        done.append(ran)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    machine = f"{cores} cores, {platform.system()}, Python {platform.python_version()}, no card"
    found = FirstHour(schema_=SCHEMA, machine=machine, steps=done)
    publish(found, asked.out, NAME, page)


def _ran(step: Step, folder: Path) -> Ran:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "SPQR_", "PYTHONPATH", "VIRTUAL_ENV"))
    }
    script, cwd = step.command, folder / "clone"
    # A store of its own, so that nothing that was made before is found.
    environment = inherited | {"SPQR_STORE": str(folder / "store")}
    if step.variables:
        job = yaml.safe_load((ROOT / step.command).read_text(encoding="utf-8"))[".spqr"]
        variables = job["variables"] | {"SPQR_INSTALL": ""} | step.variables
        script, cwd = "\n".join(job["before_script"] + job["script"]), folder / "project"
        path = f"{folder / 'clone' / '.venv' / 'bin'}:{inherited['PATH']}"
        environment |= variables | {"PATH": path}
    began = time.monotonic()
    with (folder / "log").open("w+", encoding="utf-8") as log:
        code = subprocess.run(  # noqa: S603  the pages' own commands
            ["bash", "-e", "-c", script],  # noqa: S607
            cwd=cwd,
            env=environment,
            stdout=log,
            stderr=log,
            check=False,
        ).returncode
        seconds = time.monotonic() - began
        log.seek(0)
        lines = [line.strip() for line in log.read().splitlines() if line.strip()]
    decided = [line for line in lines if line.startswith(("PASS", "FAIL", "INCONCLUSIVE"))]
    return Ran(
        what=step.what,
        page=step.page,
        command=step.command,
        code=code,
        seconds=round(seconds),
        says=decided[-1] if decided else "",
    )


def page(found: FirstHour) -> str:
    """The page of docs/: a function of the numbers alone."""
    rows = table(
        ("what", "from", "command", "exit code", "seconds"),
        (
            (
                one.what,
                f"[{one.page}]({_link(one.page)})",
                f"`{one.command}`",
                str(one.code),
                f"{one.seconds:.0f}",
            )
            for one in found.steps
        ),
    )
    said = "".join(f"- {one.what}: *{one.says}*\n" for one in found.steps if one.says)
    minutes = sum(one.seconds for one in found.steps) / 60
    return f"""\
# A new user's first hour

Made by `python -m benchmarks.first_hour --folder EMPTY` ({found.machine}); the numbers are in
[{NAME}.json]({NAME}.json). From a clone to a pipeline that gates a release, with the commands of
the pages, in an empty environment and with empty stores. Together {minutes:.0f} minutes of waiting.

{rows}
`ci/gitlab.yml` is the job of the [GitLab template](ci.md#gitlab), whose script bash runs in a
project of its own, with the variables of that page: a merge request runs
`{_QUICK}`, the gate `-n 2` against the last
release's report. Its store is empty at first, as a new runner's cache is. pip's own cache was not
emptied, so that the installation may take longer elsewhere: it downloads about 3 GB. The machine
was shared; the README shows what the same command took on another.

What they said last:

{said}"""


def _link(path: str) -> str:
    return path.removeprefix("docs/") if path.startswith("docs/") else f"../{path}"


if __name__ == "__main__":
    main()
