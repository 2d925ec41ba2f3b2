"""Snapshots: written by a run that passes, compared by statistics, replaced on request."""

import dataclasses
import errno
import json
import os
import shutil
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

# Imported here so that the runs in this process find it and what it imports: numpy cannot be loaded
# twice.
import spqr_tests.plugin.suite  # noqa: F401
from spqr_tests.store import whole_files
from tests.plugin.comparisons import SNAPSHOTS, STARTS, measurements, verdicts
from tests.running import Suite
from tests.tiny.adapters import lora

MEASUREMENTS = 12


def kept(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / SNAPSHOTS).iterdir())}


def alter(folder: Path, name: str, **numbers: float) -> Path:
    """Change the numbers in a snapshot."""
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
        """Otherwise small changes would add up, each within the tolerance of the one before."""
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
        assert f"snapshots written: 1; {MEASUREMENTS - 1} left as they are" in found.output
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
            "no snapshot was written, which needs a complete run that passes"
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
            "1 is without a snapshot, which --snapshot-update writes: adherence"
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
            "spqr snapshots: skipped, since --spqr-limit 3 does not run every prompt"
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
