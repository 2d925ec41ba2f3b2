"""Fail closed: whatever keeps a case from deciding, the run does not exit 0 or leave a 'pass'."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.judging.judges import registering
from tests.running import PROTOCOL, Suite, thresholds
from tests.seconds import PATIENCE, wait_until

WORKERS = pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "n2"])
DROPS = {
    "items": "def pytest_collection_modifyitems(items): del items[3:]",
    "one": "def pytest_collection_modifyitems(items): items.pop()",
    "ignored": (
        "def pytest_ignore_collect(collection_path):\n"
        "    return True if collection_path.name == 'test_score.py' else None"
    ),
}


@pytest.mark.parametrize(
    "selection",
    [
        ("-k", "safety"),
        ("-m", "adherence or quality", "-n2"),
        ("--deselect", "test_score.py::test_the_four_axes_hold_together[lite-general]"),
        ("--override-ini=addopts=-k safety",),
    ],
    ids=lambda value: value[0],
)
def test_a_part_is_no_pass_unless_a_part_was_asked_for(
    suite: Suite, selection: tuple[str, ...]
) -> None:
    part = suite(*selection)
    assert part.code == 1, part.output
    assert "--spqr-partial exits by that alone" in part.output
    assert part.report is not None
    assert (part.report["decision"], part.report["complete"]) == ("inconclusive", False)
    asked = suite(*selection, "--spqr-partial")
    assert asked.code == 0, asked.output
    assert "what was asked for passes (--spqr-partial)" in asked.output
    assert asked.report is not None
    assert (asked.report["decision"], asked.report["complete"]) == ("inconclusive", False)
    failing = suite(*selection, "--spqr-partial", least=0.9999)
    assert failing.code == 1, failing.output


@pytest.mark.parametrize(("drop", "workers"), [("items", ()), ("one", ("-n2",)), ("ignored", ())])
def test_a_plugin_that_drops_cases_is_no_pass(
    suite: Suite, tmp_path: Path, drop: str, workers: tuple[str, ...]
) -> None:
    (tmp_path / "dropping.py").write_text(DROPS[drop] + "\n")
    finished = suite("-p", "dropping", *workers)
    assert finished.code == 1, finished.output
    assert "INCOMPLETE" in finished.output


SKIPS = {
    "setup only": ("--setup-only", ""),
    "call": ("", "def pytest_pyfunc_call(pyfuncitem): return True"),
    "protocol": (
        "",
        (
            "import pytest\n"
            "@pytest.hookimpl(trylast=True)\n"
            "def pytest_runtest_teardown(item): item.user_properties.clear()\n"
            "@pytest.hookimpl(tryfirst=True)\n"
            "def pytest_runtest_call(item):\n"
            "    item.obj = lambda **_: None"
        ),
    ),
    "cleared": (
        "",
        (
            "import pytest\n"
            "@pytest.hookimpl(wrapper=True, tryfirst=True)\n"
            "def pytest_runtest_makereport():\n"
            "    made = yield\n"
            "    made.user_properties.clear()\n"
            "    return made"
        ),
    ),
}


@WORKERS
@pytest.mark.parametrize("how", SKIPS)
def test_a_case_that_ends_without_a_decision_is_broken(
    suite: Suite, tmp_path: Path, how: str, workers: tuple[str, ...]
) -> None:
    option, source = SKIPS[how]
    (tmp_path / "hindering.py").write_text(source + "\n")
    given = [*([option] if option else []), *workers]
    finished = suite("-p", "hindering", *given)
    assert finished.code == 3, finished.output
    assert "the case ended without a decision" in finished.output
    assert finished.report is not None
    assert finished.report["decision"] == "inconclusive"


class TestTheReport:
    def test_an_earlier_pass_does_not_outlive_the_start_of_a_run(
        self, suite: Suite, tmp_path: Path
    ) -> None:
        """A judge or a hook may end the process."""
        assert suite().code == 0
        (tmp_path / "ending.py").write_text(
            "import os\ndef pytest_runtest_teardown(item): os._exit(0)\n"
        )
        ended = suite("-p", "ending")
        assert ended.code == 0, "nothing can be done about it, but"
        assert ended.report is not None
        assert ended.report["state"] == "running"
        assert ended.report["model"] == "embedded:uce"
        assert "decision" not in ended.report
        assert ended.report["began"].endswith("+00:00")

    def test_an_earlier_pass_does_not_outlive_a_run_that_ends_before_its_first_test(
        self, suite: Suite, tmp_path: Path
    ) -> None:
        assert suite().code == 0
        (tmp_path / "ending.py").write_text(
            "import os\ndef pytest_collection_finish(): os._exit(0)\n"
        )
        ended = suite("-p", "ending")
        assert ended.code == 0, "nothing can be done about it, but"
        assert ended.report is not None
        assert ended.report["state"] == "running"

    @pytest.mark.parametrize(
        ("how", "code"), [("raise KeyboardInterrupt", 2), ("raise RuntimeError('no')", 3)]
    )
    def test_an_earlier_pass_does_not_outlive_a_run_that_stops_before_its_first_test(
        self, suite: Suite, tmp_path: Path, how: str, code: int
    ) -> None:
        assert suite().code == 0
        (tmp_path / "stopping.py").write_text(f"def pytest_collection_finish(): {how}\n")
        stopped = suite("-p", "stopping")
        assert stopped.code == code, stopped.output
        assert stopped.report is not None
        assert stopped.report["decision"] == "inconclusive"

    def test_it_is_no_baseline_before_it_is_finished(self, suite: Suite, tmp_path: Path) -> None:
        (tmp_path / "ending.py").write_text(
            "import os\ndef pytest_runtest_teardown(item): os._exit(0)\n"
        )
        suite("-p", "ending")
        shutil.copytree(tmp_path / "report", tmp_path / "old")
        finished = suite(f"--spqr-baseline={tmp_path / 'old'}")
        assert finished.code == 4
        assert "is of a run that began at" in finished.output

    @pytest.mark.parametrize("how", [("--collect-only",), ("-k", "nothing"), ("--spqr-plan",)])
    def test_a_session_that_runs_no_case_leaves_it_alone(
        self, suite: Suite, how: tuple[str, ...]
    ) -> None:
        before = suite()
        after = suite(*how)
        assert after.report == before.report

    def test_it_cannot_be_written(self, suite: Suite, tmp_path: Path) -> None:
        (tmp_path / "report" / "report.json").mkdir(parents=True)
        (tmp_path / "report" / "report.json" / "something").touch()
        finished = suite()
        assert finished.code == 3, finished.output
        assert "report.json cannot be written (" in finished.output

    def test_a_full_disk_at_the_end_is_no_pass(self, suite: Suite, tmp_path: Path) -> None:
        (tmp_path / "full.py").write_text(
            "import errno, os\n"
            "from spqr_tests.store import whole_files\n"
            "put = whole_files.put\n"
            "def full(path, text):\n"
            "    if '\"finished\"' in text:\n"
            "        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))\n"
            "    put(path, text)\n"
            "whole_files.put = full\n"
        )
        finished = suite("-p", "full")
        assert finished.code == 3, finished.output
        assert "report.json cannot be written (No space left on device)" in finished.output
        assert finished.report is not None
        assert finished.report["state"] == "running"


@WORKERS
@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import os; os._exit(0)", "its process ended with exit code 0"),
        ("while True: pass", "its process gave no answer in"),
        ("import sys; sys.exit(0)", "raised SystemExit(0) twice"),
    ],
    ids=["exits", "hangs", "leaves"],
)
def test_a_judge_of_a_package_that_does_not_answer_breaks_the_run_by_name(
    suite: Suite, tmp_path: Path, source: str, said: str, workers: tuple[str, ...]
) -> None:
    registering.install(tmp_path, "red-judges")
    old = "    def judge(self, images):\n"
    (tmp_path / "red_judges.py").write_text(
        registering.JUDGE.replace(old, f"{old}        {source}\n")
    )
    table = registering.TABLE.replace("least", "seconds_per_image = 0.1\nleast")
    path = registering.protocol(tmp_path / "site", table)
    finished = suite(f"--spqr-protocol={path}", "-p", "no:cacheprovider", *workers)
    assert finished.code == 3, finished.output
    assert finished.report is not None
    assert any(
        problem.startswith("The judge reds ") and said in problem
        for problem in finished.report["problems"].values()
    )
    assert finished.report["decision"] == "inconclusive"


@WORKERS
def test_sigterm_ends_as_ctrl_c_does(
    unjudged: Path, tmp_path: Path, workers: tuple[str, ...]
) -> None:
    """Of a queue that takes the machine back, for one."""
    (tmp_path / "slow.py").write_text(
        "import pathlib, time\n"
        "from spqr_tests.judging.judges.nudenet import NudeNetJudge\n"
        "def judge(self, images):\n"
        f"    pathlib.Path({str(tmp_path / 'judging')!r}).touch()\n"
        "    time.sleep(60)\n"
        "NudeNetJudge.judge = judge\n"
    )
    command = [
        *(sys.executable, "-m", "pytest", "-p", "slow", *workers),
        "--model=embedded:uce",
        f"--spqr-protocol={PROTOCOL}",
        f"--spqr-store={unjudged}",
        f"--spqr-thresholds={thresholds(tmp_path)}",
        f"--spqr-report={tmp_path}",
    ]
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    environment.pop("PYTEST_XDIST_WORKER", None)
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        report = tmp_path / "report.json"
        wait_until((tmp_path / "judging").exists)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2, output
    assert "INCONCLUSIVE: " in output
    written = json.loads(report.read_text(encoding="utf-8"))
    assert (written["state"], written["decision"]) == ("finished", "inconclusive")
    assert written["exit_code"] == 2
