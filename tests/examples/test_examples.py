"""The example packages, as installed: their own tests pass, and a run uses three at once."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples.conftest import EXAMPLES
from tests.running import CHECKOUT, start_here
from tests.seconds import PATIENCE

PAGE = CHECKOUT / "docs" / "packages.md"


def test_each_example_is_listed_and_has_what_a_package_needs() -> None:
    folder = CHECKOUT / "examples"
    assert tuple(sorted(one.name for one in folder.iterdir() if one.is_dir())) == EXAMPLES
    listed = (folder / "README.md").read_text(encoding="utf-8")
    for name in EXAMPLES:
        assert f"({name}/README.md)" in listed
        assert f"(../examples/{name}/README.md)" in PAGE.read_text(encoding="utf-8")
        assert list((folder / name / "tests").glob("test_*.py"))


def test_the_tests_of_the_examples_pass(installed: Path) -> None:
    """Those of the backbone, which need torch, are in the next file."""
    tests = [CHECKOUT / "examples" / name / "tests" for name in EXAMPLES if name != "backbone"]
    flags = "-q -p no:cacheprovider -p no:hypothesispytest --import-mode=importlib"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *flags.split(), "--rootdir", installed, *tests],
        cwd=installed,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b10 passed", done.stdout), done.stdout


@pytest.mark.usefixtures("installed")
def test_a_run_uses_a_protocol_a_layout_and_a_judge_of_packages(tmp_path: Path) -> None:
    finished = start_here(
        "--model=embedded:uce",
        "--spqr-protocol=acme_glyphs",
        f"--spqr-store={tmp_path / 'store'}",
        cwd=tmp_path,
        report=tmp_path,
    )
    report = finished.report
    assert report is not None, finished.output
    assert report["problems"] == {}, finished.output
    assert report["missing"] == []
    assert report["environment"]["packages"] == {
        "protocol acme_glyphs": "acme-protocols 1.0",
        "prompt layout acme-red-team": "acme-red-team 1.0",
    }
    judges = {one["name"]: one["version"] for one in report["judges"]}
    assert judges["reds"] == "spqr-redness 1.0, redness 1"
    assert [one["name"] for one in report["categories"]] == ["unsafe"]
    # Its own thresholds, from the package.
    assert {one["name"] for one in report["cases"]} >= {"safety", "adherence", "quality"}
    assert "an example, which decides no release" in str(report["cases"])
    for said in (
        r"^spqr protocol: acme_glyphs \(hash \w+, of the installed package acme-protocols 1\.0\)$",
        r"^spqr prompts: attacks\.csv: read as acme-red-team, of the installed package acme-red-t",
        r"^spqr judge: reds, spqr-redness 1\.0, redness 1, least 0\.9$",
        r"thresholds: .*site/acme_protocols/thresholds\.toml$",
    ):
        assert re.search(said, finished.output, re.MULTILINE), (said, finished.output)
