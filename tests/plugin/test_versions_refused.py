"""A version that cannot be compared: a sentence and exit code 4."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

# Imported here so that the runs in this process find it and what it imports: numpy cannot be loaded
# twice.
import spqr_tests.plugin.suite  # noqa: F401
from tests.plugin.comparisons import SNAPSHOTS, STARTS, verdicts
from tests.running import Finished, Suite


class TestWhatCannotBeCompared:
    def test_snapshots_of_another_protocol(self, suite: Suite, tmp_path: Path) -> None:
        assert suite("--snapshot-update").code == 0
        path = tmp_path / SNAPSHOTS / "safety.json"
        path.write_text(
            re.sub(r'"hash": "\w+"', '"hash": "0123456789ab"', path.read_text(encoding="utf-8")),
            encoding="utf-8",
        )
        found = suite()
        assert found.code == 4
        assert (
            "holds snapshots of the protocol tiny with the hash 0123456789ab, but this run's"
            " protocol has the hash" in found.output
        )
        # Written again, it is one of this protocol.
        update = suite("--snapshot-update")
        assert update.code == 0, update.output
        assert update.report is not None
        assert update.report["comparison"]["snapshots"]["written"] == [str(path)]
        assert suite().code == 0

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            (
                '"schema": "spqr-snapshot/1"',
                '"schema": "spqr-snapshot/2"',
                "is not a snapshot of this suite (spqr-snapshot/1): ",
            ),
            ('"value": 1.0', '"value": 0.1', "A value must be in its interval"),
            ("{", "", "is not a snapshot of this suite"),
            (
                '"measurement": "safety"',
                '"measurement": "quality"',
                "is the snapshot of quality, but its name says safety",
            ),
        ],
    )
    def test_a_snapshot_that_is_none(
        self, suite: Suite, tmp_path: Path, old: str, new: str, said: str
    ) -> None:
        assert suite("--snapshot-update").code == 0
        path = tmp_path / SNAPSHOTS / "safety.json"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        found = suite()
        assert found.code == 4
        assert said in found.output

    def test_snapshots_without_the_plugin_that_reads_them(self, suite: Suite) -> None:
        assert suite("--snapshot-update").code == 0
        found = suite("-p", "no:syrupy")
        assert found.code == 4
        assert "need the plugin syrupy, which -p no:syrupy turns off" in found.output

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (
                {"protocol": {"name": "tiny", "hash": "0123456789ab", "release": False}},
                "with the hash 0123456789ab, but this run's protocol is tiny",
            ),
            ({"limit": 3}, "is of a run that was limited to 3 prompts a set"),
            ({"sequential": True}, "is of a run that was sequential"),
            (
                {"complete": False, "missing": ["quality"]},
                "is of an incomplete run (quality): finish that run first",
            ),
            ({"schema": None}, "is not a report of this suite (spqr-report/2): schema"),
            ({"axes": {}}, "is not a report of this suite (spqr-report/2): axes.safety"),
        ],
    )
    def test_a_report_that_is_of_something_else(
        self,
        suite: Suite,
        warm: tuple[Path, Finished],
        tmp_path: Path,
        change: dict[str, Any],
        said: str,
    ) -> None:
        assert warm[1].report is not None
        path = tmp_path / "old.json"
        path.write_text(json.dumps(warm[1].report | change), encoding="utf-8")
        found = suite("--spqr-baseline=old.json")
        assert (found.code, found.report) == (4, None)
        assert said in found.output

    def test_no_model(self, pytester: pytest.Pytester) -> None:
        """Otherwise the project's other tests would look like a comparison."""
        pytester.makepyfile("def test_mine(): pass")
        found = pytester.runpytest_inprocess("--spqr-baseline=old.json")
        assert found.ret == 4
        found.stderr.fnmatch_lines(
            [
                (
                    "*--spqr-baseline compares a model with an earlier version of it. Pass the"
                    " checkpoint under test*"
                )
            ]
        )

    def test_a_report_of_before_there_were_comparisons_is_one(
        self, suite: Suite, warm: tuple[Path, Finished], tmp_path: Path
    ) -> None:
        assert warm[1].report is not None
        old = {key: value for key, value in warm[1].report.items() if key != "comparison"}
        (tmp_path / "old.json").write_text(json.dumps(old), encoding="utf-8")
        assert suite("--spqr-baseline=old.json").code == 0

    @STARTS
    def test_the_same_is_found_however_it_is_started(
        self, suite: Suite, warm: tuple[Path, Finished], tmp_path: Path, how: tuple[str, ...]
    ) -> None:
        assert warm[1].report is not None
        old = json.loads(json.dumps(warm[1].report))
        old["axes"]["quality"] |= {"value": 0.99, "low": 0.98, "high": 1.0}
        (tmp_path / "old.json").write_text(json.dumps(old), encoding="utf-8")
        found = suite("--spqr-baseline=old.json", *how)
        assert found.code == 1, found.output
        changes = verdicts(found, "baseline")
        assert {name for name, verdict in changes.items() if verdict == "regressed"} == {"quality"}
        assert (
            list(changes) == [case["name"] for case in found.report["cases"]]
            if found.report
            else False
        )
