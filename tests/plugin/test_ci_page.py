"""docs/ci.md: its blocks are what CI systems read, and its commands end as it says."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from spqr_fixtures.packaged import PACKAGED
from spqr_tests.__main__ import main
from tests.plugin.test_pipelines import ACTION, TEMPLATE, is_valid
from tests.running import CHECKOUT, Suite

PAGE = (CHECKOUT / "docs" / "ci.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"^```yaml\n# (\S+)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL))
SCHEMAS = {
    ".github/workflows/release.yml": "github-workflows",
    ".github/workflows/spqr.yml": "github-workflows",
    ".gitlab-ci.yml": "gitlab-ci",
    "azure-pipelines.yml": "azure-pipelines",
}
ROWS = re.findall(r"^\| `pytest (.+?)` \|.*\| (.+?) \|$", PAGE, flags=re.MULTILINE)
"""Commands, and what they exit with."""


def content(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps() -> list[tuple[str, dict[str, Any]]]:
    """The steps of the page's workflows, with the block that they are in."""
    return [
        (block, step)
        for name, block in BLOCKS.items()
        if SCHEMAS[name] == "github-workflows"
        for job in yaml.safe_load(block)["jobs"].values()
        for step in job["steps"]
    ]


def test_no_block_is_left_out() -> None:
    assert set(BLOCKS) == set(SCHEMAS)
    assert PAGE.count("```") == 2 * len(SCHEMAS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_block_is_what_its_file_has_to_be(name: str, tmp_path: Path) -> None:
    path = tmp_path / Path(name).name
    path.write_text(BLOCKS[name], encoding="utf-8")
    is_valid(SCHEMAS[name], path)


def test_workflows_ask_the_action_for_what_it_has() -> None:
    action = content(CHECKOUT / ACTION / "action.yml")
    ours = [(block, one) for block, one in steps() if str(ACTION) in one.get("uses", "")]
    assert len(ours) == 3
    for _, step in ours:
        assert set(step["with"]) <= set(action["inputs"])
        assert step["with"]["model"]
    asked = re.findall(r"steps\.(\w+)\.outputs\.([\w-]+)", "".join(BLOCKS.values()))
    assert {step for step, _ in asked} <= {step.get("id") for _, step in ours}
    assert {output for _, output in asked} <= set(action["outputs"])
    table = re.findall(r"^\| (`\w.*?) \|", PAGE.split("| input | |")[1], flags=re.MULTILINE)
    assert {name for row in table for name in re.findall(r"`([\w-]+)`", row)} == set(
        action["inputs"]
    )


def test_what_a_workflow_waits_for_is_what_the_gate_says() -> None:
    jobs = yaml.safe_load(BLOCKS[".github/workflows/release.yml"])["jobs"]
    assert jobs["deploy"]["needs"] == "gate"
    (named,) = re.findall(r"needs\.gate\.outputs\.(\w+) == 'pass'", jobs["deploy"]["if"])
    assert jobs["gate"]["outputs"] == {named: "${{ steps.spqr.outputs.decision }}"}


def test_gitlabs_jobs_set_what_the_template_reads() -> None:
    template = content(CHECKOUT / TEMPLATE)[".spqr"]
    pipeline = yaml.safe_load(BLOCKS[".gitlab-ci.yml"])
    assert pipeline["include"][0]["file"] == str(TEMPLATE)
    jobs = [one for one in pipeline.values() if isinstance(one, dict) and "extends" in one]
    assert len(jobs) == 2
    for job in jobs:
        assert job["extends"] == ".spqr"
        assert set(job["variables"]) <= set(template["variables"])


def test_the_only_code_that_a_quick_run_forgives_is_one() -> None:
    job = yaml.safe_load(BLOCKS[".gitlab-ci.yml"])["quick"]
    assert job["allow_failure"] == {"exit_codes": [1]}
    assert "--spqr-limit" in job["variables"]["SPQR_ARGS"]
    (check,) = (step["run"] for _, step in steps() if "CODE" in step.get("env", {}))
    assert check == 'test "$CODE" -eq 1'


@pytest.mark.parametrize(
    ("command", "codes"), [one for one in ROWS if "smoke" not in one[0]], ids=lambda one: one
)
def test_a_command_exits_as_the_page_says(suite: Suite, command: str, codes: str) -> None:
    given = shlex.split(command)
    assert given[:2] == ["--model", "candidate"]
    finished = suite(*given[2:])
    first, *others = map(int, re.findall(r"\d", codes))
    assert finished.code == first, finished.output
    missed = suite(*given[2:], "--spqr-profiles=no-such-profile")
    assert missed.code == 4
    assert 4 in others
    if "--spqr-plan" not in given:
        assert suite(*given[2:], safety=0.9999).code == 1


def test_the_rows_are_those_of_the_page() -> None:
    assert [shlex.split(command)[2:] for command, _ in ROWS] == [
        ["--spqr-plan"],
        ["--spqr-limit", "4"],
        ["--spqr-protocol", "smoke"],
        ["--spqr-sequential"],
        [],
    ]
    assert "smoke" in PACKAGED.protocols


def test_a_smaller_scope_is_a_scope(suite: Suite) -> None:
    assert "`--spqr-profiles lite --spqr-scenarios general` makes" in PAGE
    finished = suite("--spqr-profiles", "lite", "--spqr-scenarios", "general")
    assert finished.code == 0, finished.output


def test_the_stores_command_is_one(suite: Suite, tmp_path: Path) -> None:
    suite("--spqr-plan")
    (command,) = re.findall(r"`python -m spqr_tests (store .*?)`", PAGE)
    given = shlex.split(command)
    given[given.index("--store") + 1] = str(tmp_path / "warm")
    assert main(given) == 0


@pytest.mark.parametrize("named", sorted(set(re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", PAGE))))
def test_a_link_leads_to_a_file(named: str) -> None:
    assert (CHECKOUT / "docs" / named).is_file()
