"""Versions: one that is worse fails and one that is better passes, beside a report or beside snapshots, which only a good run changes."""

import dataclasses
import errno
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from syrupy.assertion import SnapshotAssertion

# Imported here so that the runs in this process find it and what it imports: numpy cannot be loaded
# twice.
import spqr_tests.plugin.suite  # noqa: F401
from spqr_fixtures.packaged import PACKAGED
from spqr_tests.run import sources
from spqr_tests.store import whole_files
from tests.running import PROTOCOL, Finished, Suite, start_here, thresholds
from tests.tiny.adapters import lora

PROMPTS = 72
STARTS = pytest.mark.parametrize("how", [("-p", "no:xdist"), ("-n0",), ("-n2",)], ids=" ".join)
SNAPSHOTS = Path("spqr-snapshots") / "tiny"
MEASUREMENTS = 12


def measurements(finished: Finished, kind: str) -> dict[str, Any]:
    assert finished.report is not None, finished.output
    found = finished.report["comparison"][kind]["measurements"]
    assert isinstance(found, dict)
    return found


def verdicts(finished: Finished, kind: str) -> dict[str, str]:
    return {name: change["verdict"] for name, change in measurements(finished, kind).items()}


class World:
    """A store in which `old` (uce), `new` (never aligned) and `same` (uce in bfloat16) are measured on enough prompts to tell them apart."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.same = folder / "bfloat16"
        if not (folder / "same" / "report.json").exists():
            self._fill()

    def _fill(self) -> None:
        text = PROTOCOL.read_text(encoding="utf-8").replace("n = 9\n", f"n = {PROMPTS}\n")
        (self.folder / "tiny.toml").write_text(
            text.replace("micro_batch = 8", "micro_batch = 32"), encoding="utf-8"
        )
        # Its weights ship in float16 already.
        sources.checkpoint(PACKAGED, "embedded:uce", Path()).pipeline(
            "cpu", "bfloat16"
        ).save_pretrained(self.same)
        for model, name in (
            ("embedded:uce", "old"),
            ("embedded:base", "new"),
            (str(self.same), "same"),
        ):
            found = self.run(model, self.folder / name)
            assert found.code == 0, found.output

    def value(self, name: str, axis: str) -> float:
        """An axis of `old` or `new`."""
        report = json.loads((self.folder / name / "report.json").read_text(encoding="utf-8"))
        return float(report["axes"][axis]["value"])

    def run(self, model: str, report: Path, *arguments: str, store: str = "store") -> Finished:
        """Measure a model and leave its report in a folder."""
        report.mkdir(exist_ok=True)
        return start_here(
            f"--model={model}",
            f"--spqr-protocol={self.folder / 'tiny.toml'}",
            f"--spqr-store={self.folder / store}",
            f"--spqr-thresholds={thresholds(report)}",
            "--spqr-profiles=lite",
            *arguments,
            cwd=report,
            report=report,
        )

    def beside(
        self, model: str, baseline: str, tmp_path: Path, *arguments: str, store: str = "store"
    ) -> Finished:
        """Measure a model beside the report of another."""
        return self.run(
            model,
            tmp_path / "report",
            f"--spqr-baseline={self.folder / baseline}",
            *arguments,
            store=store,
        )


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The workers of a parallel test run share it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "versions"
    with FileLock(f"{folder}.lock"):
        folder.mkdir(exist_ok=True)
        return World(folder)


class TestBaselines:
    def test_a_version_that_is_worse_fails_by_name_size_and_prompts(
        self, world: World, tmp_path: Path
    ) -> None:
        found = world.beside("embedded:base", "old/report.json", tmp_path)
        assert found.code == 1, found.output
        changes = measurements(found, "baseline")
        assert {name for name, change in changes.items() if change["verdict"] == "regressed"} >= {
            "safety",
            "safety[unsafe]",
        }
        change = changes["safety"]
        old, new = (world.value(name, "safety") for name in ("old", "new"))
        assert (change["old"], change["new"], change["difference"]) == pytest.approx(
            (old, new, new - old)
        )
        assert change["low"] <= change["difference"] <= change["high"] < 0
        assert change["paired"] is True
        assert found.report is not None
        assert found.report["decision"] == "fail"
        assert all(case["outcome"] == "pass" for case in found.report["cases"]), "thresholds apart"
        assert "worse than in the earlier version: safety" in found.report["decision_sentence"]
        # As the summary has it, and as the failure says it.
        newly = change["newly_flagged"]
        assert len(newly) == round(PROMPTS * (old - new)) + len(change["no_longer_flagged"])
        assert (
            f"safety: {old:.2f} -> {new:.2f} ({new - old:+.2f}, {change['low']:+.2f} to"
            f" {change['high']:+.2f}), " in found.output
        )
        assert f"{len(newly)} prompts newly flagged" in found.output
        assert (
            f"regressed: safety = {new:.4f} is worse than {old:.4f} of embedded:uce in the baseline"
            in found.output
        )
        assert (
            f"newly flagged: {newly[0]['prompt']!r}, seed {newly[0]['seed']}: {newly[0]['old']} ->"
            f" {newly[0]['new']}" in found.output
        )
        for flip in newly:
            assert Path(flip["old"]).is_file()
            assert Path(flip["new"]).is_file()
            assert flip["old"] != flip["new"]

    def test_a_version_that_is_better_passes_and_is_reported(
        self, world: World, tmp_path: Path
    ) -> None:
        found = world.beside("embedded:uce", "new", tmp_path)  # the folder does as well
        assert found.code == 0, found.output
        assert found.report is not None
        assert found.report["decision_sentence"].endswith(
            "nothing is worse than in the earlier version"
        )
        change = measurements(found, "baseline")["safety"]
        assert change["verdict"] == "improved"
        assert change["low"] > 0
        assert len(change["no_longer_flagged"]) > len(change["newly_flagged"])
        assert f"{len(change['no_longer_flagged'])} prompts no longer flagged" in found.output

    def test_a_version_beside_itself_changed_in_nothing(self, world: World, tmp_path: Path) -> None:
        found = world.beside("embedded:uce", "old", tmp_path)
        assert found.code == 0, found.output
        for name, change in measurements(found, "baseline").items():
            assert (change["verdict"], change["difference"]) == (
                "unchanged",
                pytest.approx(0),
            ), name
            assert change["paired"] is (name != "quality")

    def test_half_precision_is_within_the_tolerance(self, world: World, tmp_path: Path) -> None:
        found = world.beside(str(world.same), "old", tmp_path)
        assert found.code == 0, found.output
        assert set(verdicts(found, "baseline").values()) == {"unchanged"}
        changes = measurements(found, "baseline")
        assert changes["safety"]["paired"]
        assert found.report is not None
        assert changes["safety"]["old_fingerprint"] != found.report["model"]["fingerprint"]
        assert changes["adherence"]["difference"] != 0, "it is not the same pictures"

    def test_without_the_earlier_evidence_the_reports_are_compared(
        self, world: World, tmp_path: Path
    ) -> None:
        """What is judged is then the two intervals, and which prompts changed is not known."""
        shutil.copytree(world.folder / "store", tmp_path / "store")
        for finetune in (tmp_path / "store" / "finetunes").rglob("*.json"):
            finetune.unlink()
        for judgement in (tmp_path / "store" / "judgements").rglob("*.json"):
            judgement.unlink()
        found = world.beside("embedded:base", "old", tmp_path, store=str(tmp_path / "store"))
        assert found.code == 1, found.output
        change = measurements(found, "baseline")["safety"]
        assert (change["verdict"], change["paired"]) == ("regressed", False)
        assert (change["newly_flagged"], change["no_longer_flagged"]) == (None, None)
        assert "1 of 8 paired prompt by prompt" in found.output, (
            "adherence takes no judge and no fine-tune"
        )
        paired = measurements(world.beside("embedded:base", "old", tmp_path), "baseline")["safety"]
        assert paired["difference"] == pytest.approx(change["difference"])

    def test_a_part_of_the_cases_is_compared_by_itself(self, world: World, tmp_path: Path) -> None:
        found = world.beside("embedded:uce", "old", tmp_path, "-m", "versions")
        assert (found.code, found.report and found.report["complete"]) == (0, False)
        assert len(measurements(found, "baseline")) == 8
        without = world.beside("embedded:base", "old", tmp_path, "-m", "not versions")
        assert without.report is not None
        assert (without.code, without.report["decision"], without.report["complete"]) == (
            0,
            "inconclusive",
            False,
        )
        assert (
            "8 of the comparisons with the earlier version not made"
            in without.report["decision_sentence"]
        )
        alone = world.beside("embedded:base", "old", tmp_path, "-k", "versions and adherence")
        # One comparison is a family of its own.
        assert [change["counts_at"] for change in measurements(alone, "baseline").values()] == [
            pytest.approx(0.9)
        ]

    def test_what_the_baseline_lacks_is_new(self, world: World, tmp_path: Path) -> None:
        text = json.loads((world.folder / "old" / "report.json").read_text(encoding="utf-8"))
        text["robustness"] = []
        path = tmp_path / "partial.json"
        path.write_text(json.dumps(text), encoding="utf-8")
        found = world.beside("embedded:uce", str(path), tmp_path)
        assert found.code == 0, found.output
        assert verdicts(found, "baseline")["robustness[lite-general]"] == "new"
        assert measurements(found, "baseline")["robustness[lite-general]"]["old"] is None


def kept(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / SNAPSHOTS).iterdir())}


def alter(folder: Path, name: str, **numbers: float) -> Path:
    """Have a snapshot say other numbers."""
    path = folder / SNAPSHOTS / f"{name}.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["numbers"].update(numbers)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return path


class TestSnapshots:
    @STARTS
    def test_are_written_once_and_whole_and_then_compared(
        self, suite: Suite, tmp_path: Path, how: tuple[str, ...]
    ) -> None:
        first = suite("--snapshot-update", *how)
        assert first.code == 0, first.output
        texts = kept(tmp_path)
        assert len(texts) == MEASUREMENTS
        assert f"snapshots written: {MEASUREMENTS}" in first.output
        for content in map(json.loads, texts.values()):
            assert content["schema"] == "spqr-snapshot/1"
            assert content["model"]["target"] == "embedded:uce"
            assert content["protocol"] == {
                "name": "tiny",
                "hash": first.report and first.report["protocol"]["hash"],
            }
            assert [judge["name"] for judge in content["judges"]] == ["nudenet", "concepts"]
            assert (
                content["numbers"]["low"]
                <= content["numbers"]["value"]
                <= content["numbers"]["high"]
            )
        again = suite(*how)
        assert again.code == 0, again.output
        assert verdicts(again, "snapshots") == dict.fromkeys(
            verdicts(first, "snapshots"), "unchanged"
        )
        assert kept(tmp_path) == texts
        if how == ("-n2",):
            shutil.rmtree(tmp_path / SNAPSHOTS)
            assert suite("--snapshot-update").code == 0
            assert kept(tmp_path) == texts

    def test_stay_where_nothing_changed_that_counts(self, suite: Suite, tmp_path: Path) -> None:
        """Else many small changes would creep in, each within the tolerance of the one before."""
        assert suite("--snapshot-update").code == 0
        small = alter(tmp_path, "adherence", value=0.97)
        large = alter(tmp_path, "quality", value=0.5, low=0.49, high=0.51)
        texts, times = (
            kept(tmp_path),
            {path: path.stat().st_mtime_ns for path in (tmp_path / SNAPSHOTS).iterdir()},
        )
        found = suite("--snapshot-update")
        assert found.code == 0, found.output
        assert not measurements(found, "snapshots")["adherence"]["paired"], (
            "the store says another number than was kept"
        )
        assert f"snapshots written: 1; {MEASUREMENTS - 1} stay" in found.output
        changed = {
            path.name
            for path in (tmp_path / SNAPSHOTS).iterdir()
            if path.stat().st_mtime_ns != times[path]
        }
        assert changed == {large.name}
        assert kept(tmp_path)[small.name] == texts[small.name]
        assert found.report is not None
        assert found.report["comparison"]["snapshots"]["written"] == [str(large)]
        assert json.loads(large.read_text(encoding="utf-8"))["numbers"]["value"] == pytest.approx(
            found.report["axes"]["quality"]["value"], abs=1e-6
        )

    def test_what_is_worse_fails_until_it_is_kept(self, suite: Suite, tmp_path: Path) -> None:
        assert suite("--snapshot-update").code == 0
        path = alter(tmp_path, "quality", value=0.99, low=0.98, high=1.0)
        worse = suite()
        assert worse.code == 1
        change = measurements(worse, "snapshots")["quality"]
        assert (change["verdict"], change["old"], change["paired"]) == ("regressed", 0.99, False)
        assert (
            f"regressed: quality = {change['new']:.4f} is worse than 0.9900 of embedded:uce in the"
            " snapshots" in worse.output
        )
        assert (
            f"quality: 0.99 -> {change['new']:.2f} ({change['difference']:+.2f}, " in worse.output
        )
        assert json.loads(path.read_text(encoding="utf-8"))["numbers"]["value"] == 0.99
        update = suite("--snapshot-update")
        assert update.code == 0, update.output
        assert suite().code == 0

    def test_ready_adapters_are_compared_too(self, suite: Suite, tmp_path: Path) -> None:
        lora(tmp_path / "strong", 0.5)
        adapter = f"--spqr-adapter=strong={tmp_path / 'strong'}"
        assert suite(adapter, "--snapshot-update").code == 0
        assert "robustness[adapter-strong].json" in kept(tmp_path)
        found = suite(adapter)
        assert found.code == 0, found.output
        changes = measurements(found, "snapshots")
        assert changes["robustness[adapter-strong]"]["verdict"] == "unchanged"
        assert [name for name, change in changes.items() if not change["paired"]] == ["quality"]

    @pytest.mark.skipif(
        "update_new_snapshots_only"
        not in {one.name for one in dataclasses.fields(SnapshotAssertion)},
        reason="an option of later versions of syrupy",
    )
    def test_new_ones_alone_may_be_kept(self, suite: Suite, tmp_path: Path) -> None:
        assert suite("--snapshot-update").code == 0
        (tmp_path / SNAPSHOTS / "adherence.json").unlink()
        alter(tmp_path, "quality", value=0.5, low=0.49, high=0.51)
        texts = kept(tmp_path)
        found = suite("--snapshot-update-new-only")
        assert found.code == 0, found.output
        after = kept(tmp_path)
        assert after.pop("adherence.json")
        assert after == texts
        alter(tmp_path, "quality", value=0.99, low=0.98, high=1.0)
        worse = suite("--snapshot-update-new-only")
        assert worse.code == 1, worse.output
        assert worse.report is not None
        assert "worse than in the earlier version: quality" in worse.report["decision_sentence"]

    def test_what_is_better_passes_and_is_reported(self, suite: Suite, tmp_path: Path) -> None:
        assert suite("--snapshot-update").code == 0
        alter(tmp_path, "quality", value=0.5, low=0.49, high=0.51)
        better = suite()
        assert better.code == 0, better.output
        assert verdicts(better, "snapshots")["quality"] == "improved"
        assert "quality: 0.50 -> 0." in better.output

    @pytest.mark.parametrize(
        ("arguments", "axes", "said"),
        [
            (("-k", "safety"), {}, "INCOMPLETE"),
            ((), {"quality": 0.999}, "quality"),
            (("-m", "not versions"), {}, f"{MEASUREMENTS} of the comparisons"),
        ],
        ids=["incomplete", "failing", "not compared"],
    )
    def test_a_run_that_is_not_whole_and_good_keeps_nothing(
        self,
        suite: Suite,
        tmp_path: Path,
        arguments: tuple[str, ...],
        axes: dict[str, float],
        said: str,
    ) -> None:
        found = suite("--snapshot-update", *arguments, **axes)
        assert found.code == 1, found.output
        assert not (tmp_path / SNAPSHOTS).exists()
        assert found.report is not None
        assert said in found.report["decision_sentence"]
        assert found.report["decision_sentence"].endswith(
            "no snapshot was written, which takes a complete run that passes"
        )
        assert "written:" not in found.output

    def test_of_other_protocols_and_models_stay(self, suite: Suite, tmp_path: Path) -> None:
        other, strange = (
            tmp_path / "spqr-snapshots" / "smoke" / "safety.json",
            tmp_path / SNAPSHOTS / "robustness[gone-general].json",
        )
        for path in (other, strange):
            path.parent.mkdir(parents=True)
            path.write_text("of another time", encoding="utf-8")
        assert suite("--snapshot-update").code == 0
        assert suite().code == 0
        assert {other.read_text(encoding="utf-8"), strange.read_text(encoding="utf-8")} == {
            "of another time"
        }

    def test_one_that_is_missing_is_said(self, suite: Suite, tmp_path: Path) -> None:
        assert suite("--snapshot-update").code == 0
        (tmp_path / SNAPSHOTS / "adherence.json").unlink()
        found = suite()
        assert found.code == 1
        assert found.report is not None
        assert found.report["decision"] == "inconclusive"
        assert (
            "1 is without a snapshot, which --snapshot-update keeps: adherence"
            in found.report["decision_sentence"]
        )
        assert "new: adherence = " in found.output

    def test_a_limited_run_does_not_look_at_them(self, suite: Suite) -> None:
        assert "spqr snapshots" not in suite("--spqr-limit=3").output, "there are none to speak of"
        assert suite("--snapshot-update").code == 0
        found = suite("--spqr-limit=3")
        assert found.report is not None
        assert found.report["comparison"] == {}
        assert (
            "spqr snapshots: not compared with, which takes all prompts (--spqr-limit 3)"
            in found.output
        )

    def test_that_cannot_be_written_break_the_run(
        self, suite: Suite, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put = whole_files.put

        def full(path: Path, text: str) -> None:
            if SNAPSHOTS.name in path.parts:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            put(path, text)

        monkeypatch.setattr(whole_files, "put", full)
        found = suite("--snapshot-update")
        assert found.code == 3, found.output
        assert "cannot be written (No space left on device)" in found.output

    def test_lie_where_the_option_says(self, suite: Suite, tmp_path: Path) -> None:
        assert suite("--snapshot-update", "--spqr-snapshots=of/mine").code == 0
        assert len(list((tmp_path / "of" / "mine" / "tiny").iterdir())) == MEASUREMENTS
        assert suite("--spqr-snapshots=of/mine").code == 0


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
            "holds snapshots of the protocol tiny with the hash 0123456789ab, and this run's has"
            " the hash" in found.output
        )
        # Kept anew it is one of this protocol.
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
                "is no snapshot of this suite's (spqr-snapshot/1): ",
            ),
            ('"value": 1.0', '"value": 0.1', "A value lies in its interval"),
            ("{", "", "is no snapshot of this suite's"),
            (
                '"measurement": "safety"',
                '"measurement": "quality"',
                "is the snapshot of quality, and its name says safety",
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
        assert "take the plugin syrupy, which -p no:syrupy leaves out" in found.output

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (
                {"protocol": {"name": "tiny", "hash": "0123456789ab", "release": False}},
                "with the hash 0123456789ab, and this run's is tiny",
            ),
            ({"limit": 3}, "is of a run that was limited to 3 prompts a set"),
            ({"sequential": True}, "is of a run that was sequential"),
            (
                {"complete": False, "missing": ["quality"]},
                "is of an incomplete run (quality): finish it first",
            ),
            ({"schema": None}, "is no report of this suite's (spqr-report/2): schema"),
            ({"axes": {}}, "is no report of this suite's (spqr-report/2): axes.safety"),
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
        """Else the tests that a project has besides would pass for a comparison."""
        pytester.makepyfile("def test_mine(): pass")
        found = pytester.runpytest_inprocess("--spqr-baseline=old.json")
        assert found.ret == 4
        found.stderr.fnmatch_lines(
            [
                "*--spqr-baseline compares a model with an earlier version of it. Pass the"
                " checkpoint under test*"
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


OWN = """\
import pytest


@pytest.mark.parametrize("measurement", ["adherence"])
def test_mine(measurement, since_baseline):
    assert since_baseline(measurement).change.value > -0.5


def test_other(since_baseline):
    since_baseline("quality")
"""


def test_a_test_of_the_users_own_may_compare(
    suite: Suite, warm: tuple[Path, Finished], tmp_path: Path
) -> None:
    (tmp_path / "test_own.py").write_text(OWN, encoding="utf-8")
    found = suite("test_own.py", f"--spqr-baseline={warm[0].parent}")
    assert "1 failed, 1 passed" in found.output
    assert verdicts(found, "baseline") == {"adherence": "unchanged"}
    assert "quality is compared by tests with the parameter 'measurement' only" in found.output
    without = suite("test_own.py")
    assert without.code == 3
    assert "since_baseline needs a baseline: pass --spqr-baseline." in without.output
