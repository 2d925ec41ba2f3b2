"""The GitHub action and GitLab's template: valid, and run in a clean clone as runners run them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.plugin.pipelines import Action, Machine
from tests.running import CHECKOUT, PROTOCOL, Finished, thresholds

ACTION = Path(".github/actions/spqr")
TEMPLATE = Path("ci/gitlab.yml")


def is_valid(schema: str, path: Path) -> None:
    """By the vendors' schemas, which check-jsonschema holds."""
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_action_is_one() -> None:
    is_valid("github-actions", CHECKOUT / ACTION / "action.yml")


def test_the_template_is_one() -> None:
    is_valid("gitlab-ci", CHECKOUT / TEMPLATE)


def test_every_input_of_the_action_is_used() -> None:
    text = (CHECKOUT / ACTION / "action.yml").read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    for name in content["inputs"]:
        assert f"inputs.{name}" in text.split("runs:")[1]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return Machine.made(tmp_path_factory.mktemp("machine"))


class Kind(NamedTuple):
    """A kind of run, and how it ends."""

    code: int
    decision: str
    safety: float
    """The least that is asked for."""
    args: str
    protocol: str | None = None


KINDS = {
    "pass": Kind(0, "pass", 0.0, "-n 2"),
    "undecided": Kind(1, "inconclusive", 0.9999, "-k 'safety or adherence'"),
    "broken": Kind(3, "inconclusive", 0.0, "--spqr-offline"),
    "usage": Kind(4, "", 0.0, "", "no such protocol"),
    "quotes that do not end": Kind(1, "", 0.0, "-k 'safety"),
}


@pytest.fixture
def project(warm: tuple[Path, Finished], tmp_path: Path) -> Path:
    """A user's project with the evidence that the store's cache brings back."""
    folder = tmp_path / "a project"
    folder.mkdir()
    shutil.copytree(warm[0], folder / ".spqr-store")
    return folder


def inputs(project: Path, kind: Kind) -> dict[str, str]:
    """What a user writes into a workflow."""
    if kind.code == 3:
        shutil.rmtree(project / ".spqr-store")
    return {
        "model": "embedded:uce",
        "protocol": kind.protocol or str(PROTOCOL),
        "thresholds": str(thresholds(project, safety=kind.safety)),
        "args": kind.args,
    }


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_actions_steps_end_as_the_run_does(machine: Machine, project: Path, kind: Kind) -> None:
    action = Action(machine.clone / ACTION, project, inputs(project, kind))
    code = action.run(machine)
    assert code == kind.code, action.ended[-1].output
    # Installed from the clone, and not from what this test runs in.
    assert machine.installed.startswith(str(machine.python.parent))
    assert action.outputs["decision"] == kind.decision
    assert action.outputs["exit-code"] == str(kind.code)
    report = project / "spqr-report" / "report.json"
    if kind.decision:
        value = json.loads(report.read_text(encoding="utf-8"))
        assert (value["decision"], value["exit_code"]) == (kind.decision, kind.code)
        assert action.outputs["spqr"] == (f"{value['score']['value']:.4f}" if code == 0 else "")
        assert action.summary.startswith(f"## SPQR: {kind.decision}\n")
        assert (report.parent / "spqr.xml").is_file()
    else:
        assert action.outputs["spqr"] == ""
        assert action.summary == (
            f"### SPQR: nothing was decided (exit code {code}); the log says why\n"
        )
    assert [name.partition("@")[0] for name, _ in action.used] == [
        "actions/setup-python",
        "actions/cache/restore",
        # Also where the run failed.
        "actions/cache/save",
        "actions/upload-artifact",
    ]
    _, restored, saved, uploaded = (given for _, given in action.used)
    assert restored["path"] == saved["path"] == ".spqr-store"
    assert saved["key"].startswith(restored["restore-keys"])
    assert uploaded["path"] == "spqr-report"


def test_what_is_switched_off_is_not_run(machine: Machine, project: Path) -> None:
    given = inputs(project, KINDS["usage"]) | {
        "python": "",
        "install": "none",
        "cache": "false",
        "artifact": "",
    }
    action = Action(machine.clone / ACTION, project, given)
    assert action.run(machine) == 4
    assert action.used == []
    assert len(action.ended) == 1


def test_options_of_the_job_are_kept_and_nothing_is_run_of_them(
    machine: Machine, project: Path
) -> None:
    kind = Kind(4, "", 0.0, '--spqr-limit "$(touch made)" ; touch made')
    action = Action(machine.clone / ACTION, project, inputs(project, kind) | {"install": "none"})
    assert action.run(machine, PYTEST_ADDOPTS="-p no:randomly") == 4
    assert "--spqr-limit $(touch made)" in action.ended[0].output
    assert not (project / "made").exists()


@pytest.mark.parametrize(
    ("named", "shell"),
    [("pass", "bash"), ("undecided", "sh"), ("broken", "bash"), ("usage", "sh")],
)
def test_the_templates_script_ends_as_the_run_does(
    machine: Machine, project: Path, named: str, shell: str
) -> None:
    kind = KINDS[named]
    job = yaml.safe_load((machine.clone / TEMPLATE).read_text(encoding="utf-8"))[".spqr"]
    given = {f"SPQR_{name.upper()}": value for name, value in inputs(project, kind).items()}
    assert set(given) < set(job["variables"])
    given["SPQR_INSTALL"] = str(machine.clone)
    # The runner joins the lines to one script (its shells/bash.go).
    script = "\n".join([*job["before_script"], *job["script"]])
    ended = machine.run(
        [shell, "-e", "-c"],
        script,
        project,
        **(job["variables"] | given),
        CI_PROJECT_DIR=str(project),
    )
    assert ended.code == kind.code, ended.output
    report, xml = (
        project / job["artifacts"]["paths"][0] / one for one in ("report.json", "spqr.xml")
    )
    if kind.decision:
        assert json.loads(report.read_text(encoding="utf-8"))["decision"] == kind.decision
        assert xml == project / job["artifacts"]["reports"]["junit"]
        assert xml.is_file()
    assert job["artifacts"]["when"] == job["cache"]["when"] == "always"
    assert (project / job["cache"]["paths"][0]).exists() or kind.code == 3
