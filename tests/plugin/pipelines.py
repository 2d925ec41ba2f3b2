"""Pipelines as their runners run them: an environment to install into, and the steps of a job."""

import os
import re
import subprocess
import sysconfig
import venv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.running import clean_copy
from tests.seconds import PATIENCE

_EXPRESSION = re.compile(r"\$\{\{ *(.+?) *\}\}")


@dataclass(frozen=True)
class Machine:
    """A runner's machine: a clean clone, and a Python that has what the suite needs but not it."""

    clone: Path
    python: Path
    """The folder of its `python`."""

    @classmethod
    def made(cls, folder: Path) -> "Machine":
        """In an empty folder."""
        home = folder / "python"
        venv.create(home)
        site = sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)})
        # Six gigabytes that a runner installs, and pip itself.
        (Path(site) / "shared.pth").write_text(sysconfig.get_path("purelib") + "\n")
        return cls(clean_copy(folder / "clone"), home / "bin")

    def run(self, shell: list[str], script: str, cwd: Path, **environment: str) -> "Ended":
        """Run a script in `cwd`."""
        inherited = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("PYTEST_", "SPQR_", "GITHUB_", "CI_", "PYTHONPATH"))
        }
        # Offline, what is there already is neither asked for nor built apart.
        offline = {"PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}
        done = subprocess.run(
            [*shell, script],
            cwd=cwd,
            env=inherited | offline | {"PATH": f"{self.python}:{os.environ['PATH']}"} | environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return Ended(done.returncode, done.stdout + done.stderr)

    @property
    def installed(self) -> str:
        """Where this machine's Python finds the suite."""
        script = "import spqr_tests; print(spqr_tests.__file__)"
        return self.run([str(self.python / "python"), "-c"], script, self.clone.parent).output


@dataclass(frozen=True)
class Ended:
    """A script that ended."""

    code: int
    output: str


@dataclass
class Action:
    """A composite action with its inputs, in a workspace."""

    path: Path
    workspace: Path
    inputs: dict[str, str]
    steps: dict[str, dict[str, str]] = field(default_factory=dict)
    """The outputs of steps that have ended."""
    used: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """The actions of others that would have been run, with their inputs."""
    ended: list[Ended] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """What its steps added to the run's page."""
        path = self.workspace / "summary"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    @property
    def outputs(self) -> dict[str, str]:
        """The action's own outputs."""
        declared = self._content["outputs"]
        return {name: self._evaluated(one["value"]) for name, one in declared.items()}

    @property
    def _content(self) -> dict[str, Any]:
        found: dict[str, Any] = yaml.safe_load((self.path / "action.yml").read_text("utf-8"))
        return found

    def run(self, machine: Machine, **environment: str) -> int:
        """Run its steps as actions/runner does; the exit code of the first that failed, else 0.

        Other repositories' actions are not run.
        """
        declared = self._content["inputs"]
        assert set(self.inputs) <= set(declared)
        assert all(name in self.inputs for name, one in declared.items() if one.get("required"))
        given = {name: one.get("default", "") for name, one in declared.items()} | self.inputs
        self.inputs = given
        code = 0
        for step in self._content["runs"]["steps"]:
            if not self._is_run(step.get("if", ""), failed=code != 0):
                continue
            if "uses" in step:
                with_ = {name: self._evaluated(value) for name, value in step["with"].items()}
                self.used.append((step["uses"], with_))
                continue
            ended = self._shell(machine, step, environment)
            self.ended.append(ended)
            code = code or ended.code
        return code

    def _shell(self, machine: Machine, step: Mapping[str, Any], more: Mapping[str, str]) -> Ended:
        assert step["shell"] == "bash"
        output = self.workspace / "output"
        output.write_text("")
        environment = {name: self._evaluated(value) for name, value in step["env"].items()}
        # https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax
        ended = machine.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"],
            step["run"],
            self.workspace,
            GITHUB_ACTIONS="true",
            GITHUB_OUTPUT=str(output),
            GITHUB_STEP_SUMMARY=str(self.workspace / "summary"),
            **environment,
            **more,
        )
        lines = output.read_text(encoding="utf-8").splitlines()
        self.steps[step["id"]] = dict(line.split("=", 1) for line in lines)
        return ended

    def _is_run(self, condition: str, *, failed: bool) -> bool:
        """The conditions of this action: parts joined by &&, which compare an input."""
        parts = [one.strip() for one in condition.split("&&") if one.strip()]
        always = "always()" in parts
        if failed and not always:
            return False
        for part in parts:
            if part == "always()":
                continue
            compared = re.fullmatch(r"inputs\.([\w-]+) (==|!=) '(.*)'", part)
            assert compared is not None, part
            is_equal = self.inputs[compared[1]] == compared[3]
            if is_equal != (compared[2] == "=="):
                return False
        return True

    def _evaluated(self, text: str) -> str:
        def value(found: re.Match[str]) -> str:
            name = found[1]
            if name == "github.action_path":
                return str(self.path)
            if name in ("github.run_id", "github.run_attempt"):
                return "1"
            kind, _, rest = name.partition(".")
            if kind == "inputs":
                return self.inputs[rest]
            step, _, output = rest.partition(".outputs.")
            assert kind == "steps", name
            return self.steps[step].get(output, "")

        return _EXPRESSION.sub(value, text)
