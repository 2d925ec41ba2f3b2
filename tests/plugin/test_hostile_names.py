"""Names from the command line and from files: no message lets a terminal or a viewer obey one."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from spqr_tests.errors import EvidenceError
from spqr_tests.judging.judges.nudenet import NudeNetJudge
from tests.reports.reported import hidden
from tests.running import PROTOCOL, Suite, start_here, thresholds

NAME = "a\x1b[31m\u202e\n::error::b"
SHOWN = r"a\x1b[31m\u202e\n::error::b"
TINY = PROTOCOL.read_text(encoding="utf-8")
KEY = r'"a\u001b[31m\u202e\n::error::b"'
"""The name as a TOML text."""


def refused(folder: Path, *arguments: str) -> str:
    """What a run that is refused prints."""
    given = ["--collect-only", *arguments]
    for name, usual in {
        "--model": "embedded:base",
        "--spqr-protocol": str(PROTOCOL),
        "--spqr-store": str(folder / "store"),
        "--spqr-thresholds": str(thresholds(folder)),
    }.items():
        if not any(one.startswith(f"{name}=") for one in arguments):
            given.append(f"{name}={usual}")
    finished = start_here(*given, cwd=folder, report=folder)
    assert finished.code == 4, finished.output
    assert hidden(finished.output) == {"\n"}
    assert "\n::error" not in finished.output
    return finished.output


@pytest.mark.parametrize(
    "option",
    [
        "--model=",
        "--spqr-overlay=",
        "--spqr-config=",
        "--spqr-protocol=x.toml/",
        "--spqr-thresholds=",
        "--spqr-data=",
        "--spqr-data=visu=",
        "--spqr-adapter=",
        "--spqr-adapter=mine=",
        "--spqr-baseline=",
        "--spqr-profiles=",
        "--spqr-scenarios=",
        "--spqr-device=",
        "--spqr-limit=",
        "--spqr-inconclusive=",
    ],
)
def test_an_options_value_is_not_obeyed(option: str, tmp_path: Path) -> None:
    value = NAME if option[-1] == "=" else f"{NAME}.toml"
    said = refused(tmp_path, f"{option}{value}")
    assert said.startswith("ERROR: ")
    assert r"a\x1b[31m\u202e\n" in said


@pytest.mark.parametrize("option", ["--spqr-store", "--spqr-snapshots", "--spqr-protocol"])
def test_a_file_in_the_place_of_a_folder_is_not_obeyed(option: str, tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    path = tmp_path / NAME / "x.toml"
    path.write_text("damaged")
    assert SHOWN in refused(tmp_path, f"{option}={path}", "--snapshot-update")


def test_a_path_of_pytests_own_is_not_obeyed(tmp_path: Path) -> None:
    """The line break in it is pytest's to show; what colours or turns is not let through."""
    name = NAME.replace("\n::error::", "")
    assert r"a\x1b[31m\u202eb" in refused(tmp_path, name)


def test_a_thresholds_files_names_are_not_obeyed(tmp_path: Path) -> None:
    path = tmp_path / "bounds.toml"
    path.write_text(f"[tiny.{KEY}]\nmin = 0.5\nreason = {KEY}\n", encoding="utf-8")
    # As a TOML text writes it.
    assert rf"unknown key tiny.{KEY}" in refused(tmp_path, f"--spqr-thresholds={path}")


@pytest.mark.parametrize(
    "text",
    [
        f"{TINY}\n[{KEY}]\nx = 1\n",
        TINY.replace("[harmful]", f"[harmful]\n{KEY} = 1"),
        TINY.replace('"embedded-harmful.jsonl"', KEY),
        TINY.replace('"embedded-harmful.jsonl"', KEY.replace('"a', '"data:a')),
        TINY.replace('images = "embedded:general"', f"images = {KEY}"),
        TINY.replace('scheduler = "ddim"', f"scheduler = {KEY}"),
        f"{TINY}\n[judges.{KEY}]\nkind = {KEY}\n",
        TINY.replace('name = "tiny"', f"name = {KEY}"),
        f"extends = {KEY}\n",
        f"{TINY}\n[data.{KEY}]\n",
    ],
)
def test_a_files_names_are_not_obeyed(text: str, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    said = refused(tmp_path, f"--spqr-protocol={path}")
    assert r"\x1b[31m\u202e\n" in said


def test_what_breaks_a_run_is_not_obeyed_by_any_viewer(
    suite: Suite, unjudged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judge(*_: object) -> None:
        raise EvidenceError(f"cannot read {NAME}")

    monkeypatch.setattr(NudeNetJudge, "judge", judge)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / NAME / "none.md"))
    junit = tmp_path / "junit.xml"
    finished = suite("-k", "safety", f"--junitxml={junit}", store=unjudged)
    assert finished.code == 3, finished.output
    assert hidden(finished.output) == {"\n"}
    told = [line for line in finished.output.splitlines() if line.startswith("::")]
    assert told
    assert all(line.startswith("::error title=broken%3A") for line in told if SHOWN in line)
    assert f"{tmp_path}/{SHOWN}/none.md cannot be written" in finished.output
    texts = [
        text
        for one in ET.parse(junit).iter()  # noqa: S314  our own file
        for text in (one.text or "", *one.attrib.values())
    ]
    assert any(f"cannot read {SHOWN}" in text for text in texts)
    assert set().union(*map(hidden, texts)) <= {"\n"}
    assert finished.report is not None
    assert all(f"cannot read {SHOWN}" in one for one in finished.report["problems"].values())
