"""The terminal: whatever it is, and without it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import PROTOCOL, Finished, Suite, start, thresholds

RAISES = (
    "from spqr_tests.judging.judges.nudenet import NudeNetJudge\n"
    "def judge(self, images): raise OSError('the model file is gone')\n"
    "NudeNetJudge.judge = judge\n"
)
WORKERS = pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "n2"])


@WORKERS
@pytest.mark.parametrize("without", ["terminal", "capture"])
def test_pytest_s_own_plugins_may_be_off(
    suite: Suite, warm: tuple[Path, Finished], without: str, workers: tuple[str, ...]
) -> None:
    finished = suite("-p", f"no:{without}", *workers)
    assert finished.code == 0, finished.output
    assert finished.numbers() == warm[1].numbers()
    assert (finished.output == "") is (without == "terminal")


@WORKERS
def test_a_terminal_that_knows_ascii_alone(tmp_path: Path, workers: tuple[str, ...]) -> None:
    """The prompts' categories are the user's, in any script."""
    rows = [
        {"prompt": f"a skull {number} {name}", "seed": number, "category": name}
        for number in range(4)
        for name in ("gewält", "色")
    ]
    (tmp_path / "harmful.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    text = PROTOCOL.read_text(encoding="utf-8")
    text = text.replace('"embedded-harmful.jsonl"\nn = 9', '"harmful.jsonl"')
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    given = ("--model=embedded:uce", "--spqr-protocol=mine.toml", *workers)
    finished = start(
        *given,
        f"--spqr-store={tmp_path / 'store'}",
        f"--spqr-thresholds={thresholds(tmp_path, safety=0.99)}",
        cwd=tmp_path,
        report=tmp_path,
        PYTHONIOENCODING="ascii",
    )
    assert finished.code == 1, finished.output
    assert finished.output.isascii()
    assert "\nsafety[gew\\xe4lt] " in finished.output
    assert "\nsafety[\\u8272] " in finished.output
    assert finished.report is not None
    assert [one["name"] for one in finished.report["categories"]] == ["gewält", "色"]


@WORKERS
def test_what_breaks_every_case_is_said_once(
    suite: Suite, unjudged: Path, tmp_path: Path, workers: tuple[str, ...]
) -> None:
    (tmp_path / "intruder.py").write_text(RAISES)
    own = tmp_path / "own"
    own.mkdir()
    junit = tmp_path / "junit.xml"
    arguments = ("-p", "intruder", f"--junitxml={junit}", *workers)
    finished = suite(*arguments, store=unjudged)
    assert finished.code == 3, finished.output
    sentence = "raised OSError('the model file is gone') twice; nothing it did not see"
    failures = finished.output.split("= FAILURES =")[1].split("short test summary")[0]
    # A worker does not know what the other one has said.
    assert failures.count(sentence) == 1
    assert f"(raised in {tmp_path / 'intruder.py'}:2, judge)" in failures
    assert "Traceback" not in finished.output
    # A viewer of JUnit XML shows one test at a time.
    assert junit.read_text(encoding="utf-8").count("the model file is gone") >= 6
    assert len(finished.output.splitlines()) < 90
    [told] = [line for line in finished.output.splitlines() if line.startswith("broken: ")]
    named, reason = told.removeprefix("broken: ").split(": The judge nudenet")
    assert sentence in reason
    assert named.endswith(" and 5 more tests")
    assert len(set(named.removesuffix(" and 5 more tests").split(", "))) == 5


def test_the_source_is_shown_when_it_is_asked_for(
    suite: Suite, unjudged: Path, tmp_path: Path
) -> None:
    (tmp_path / "intruder.py").write_text(RAISES)
    finished = suite("-p", "intruder", "-v", "-x", store=unjudged)
    assert "The above exception was the direct cause" in finished.output


def test_the_summary_fits_eighty_columns(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    finished = suite("-v", safety=0.9999)
    summary = finished.output.split("SPQR of embedded:uce")[1]
    table = [
        line
        for line in summary.splitlines()
        if line.startswith(("measurement", "safety", "robustness[", "spqr[", "fine-tuning", "lite"))
    ]
    assert len(table) > 12
    assert all(len(line) <= 80 for line in table)
    for line in table[1:4]:
        assert line.split()[-1] in {"pass", "fail", "inconclusive"}, "the decision is in its row"
    assert "category copyrighted" in summary
    assert re.search(
        r"^nudenet, concepts( +\d+){4} +(-|-?[01]\.\d\d)$", summary, flags=re.MULTILINE
    )


def test_quietly_there_are_the_last_two_lines(suite: Suite) -> None:
    loud, quiet = suite().output, suite("-q").output
    assert "category copyrighted" not in loud, "-v shows breakdowns"
    assert "nudenet, concepts" not in loud
    assert "fine-tuning" in loud
    assert "fine-tuning" not in quiet
    last = [line for line in quiet.splitlines() if line.strip()][-3:-1]
    assert last[0].startswith("SPQR 0.")
    assert last[1].startswith("PASS: ")


def test_a_long_run_on_a_cpu_says_so_before_it_starts(
    suite: Suite, unjudged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the embedded checkpoint were large, and with nothing in the store."""
    empty = tmp_path / "empty"
    assert "spqr time" not in suite("--collect-only", store=empty).output
    monkeypatch.setattr("spqr_tests.plugin.header.LARGEST", 1000)
    monkeypatch.setattr("spqr_tests.planning.probe.LARGEST", 1000)
    assert "spqr time" not in suite("--collect-only", store=empty).output, "it computes nothing"
    finished = suite("-k", "adherence", store=unjudged)
    assert "spqr time: about " in finished.output
    assert "on this machine's CPU in one process" in finished.output


def test_importing_the_plugin_imports_no_rich() -> None:
    """It is loaded in every pytest run of the environment."""
    code = "import sys, spqr_tests.plugin; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
