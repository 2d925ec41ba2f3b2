"""Versions against a baseline: a worse one fails, a better one passes."""

import json
import os
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

# Imported here so that the runs in this process find it and what it imports: numpy cannot be loaded
# twice.
import spqr_tests.plugin.suite  # noqa: F401
from spqr_fixtures.packaged import PACKAGED
from spqr_tests.run import sources
from spqr_tests.store.lock import Lock
from spqr_tests.store.store import LAYOUT
from tests.plugin.comparisons import measurements, verdicts
from tests.running import PROTOCOL, Finished, Suite, start_here, thresholds

PROMPTS = 72


class World:
    """A store with three versions of a checkpoint.

    `old` is uce, `new` was never aligned, `same` is uce in bfloat16. There are enough prompts to
    distinguish them.
    """

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

    def against(
        self, model: str, baseline: str, tmp_path: Path, *arguments: str, store: str = "store"
    ) -> Finished:
        """Measure a model and compare it with the report of another."""
        return self.run(
            model,
            tmp_path / "report",
            f"--spqr-baseline={self.folder / baseline}",
            *arguments,
            store=store,
        )


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The versions; the workers of a parallel test run share them."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "versions"
    with Lock(Path(f"{folder}.lock"), 0o600, lambda _: None):
        folder.mkdir(exist_ok=True)
        return World(folder)


class TestBaselines:
    def test_a_version_that_is_worse_fails_by_name_size_and_prompts(
        self, world: World, tmp_path: Path
    ) -> None:
        found = world.against("embedded:base", "old/report.json", tmp_path)
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
        # In the summary, and in the failure.
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
            f"newly flagged: {newly[0]['source']}, seed {newly[0]['seed']}: {newly[0]['old']} ->"
            f" {newly[0]['new']}" in found.output
        )
        for flip in newly:
            assert (world.folder / "store" / flip["old"]).is_file()
            assert (world.folder / "store" / flip["new"]).is_file()
            assert flip["old"] != flip["new"]

    def test_a_viewer_shows_what_is_worse_by_how_much_and_which_images(
        self, world: World, tmp_path: Path
    ) -> None:
        xml = tmp_path / "junit.xml"
        found = world.against("embedded:base", "old", tmp_path, f"--junitxml={xml}")
        change = measurements(found, "baseline")["safety"]
        (case,) = (
            one
            for one in ET.parse(xml).iter("testcase")  # noqa: S314  our own file
            if one.get("name") == "test_nothing_is_worse_than_in_the_baseline[safety]"
        )
        lines = (case.findtext("failure") or "").splitlines()
        assert lines[0] == change["sentence"].splitlines()[0]
        assert f"measured:  safety = {change['new']:.4f}" in lines
        assert f"before:    {change['old']:.4f}, of embedded:uce" in lines
        assert any(
            line.startswith(f"change:    {change['difference']:+.4f}, 90 %") for line in lines
        )
        attached = (case.findtext("system-out") or "").splitlines()
        *images, page, report = attached
        assert len(images) == min(5, len(change["newly_flagged"]))
        assert all("/flagged/baseline-safety-" in line for line in images)
        assert (page[-14:], report[-14:]) == ("/report.html]]", "/report.json]]")

    def test_prompts_are_quoted_only_where_that_is_asked_for(
        self, world: World, tmp_path: Path
    ) -> None:
        """They may be harmful, and reports are passed on."""
        plain = world.against("embedded:base", "old", tmp_path, f"--junitxml={tmp_path}/plain.xml")
        assert plain.report is not None
        texts = json.dumps(plain.report) + plain.output + (tmp_path / "plain.xml").read_text()
        shown = world.against("embedded:base", "old", tmp_path, "--spqr-show-prompts")
        newly = measurements(shown, "baseline")["safety"]["newly_flagged"]
        assert f"{newly[0]['source']}, {newly[0]['prompt']!r}, seed" in shown.output
        hidden = measurements(plain, "baseline")["safety"]["newly_flagged"]
        assert {flip["prompt"] for flip in hidden} == {None}
        for flip in newly:
            assert flip["prompt"] not in texts
        assert str(world.folder / "store") not in json.dumps(plain.report["comparison"])

    def test_a_version_that_is_better_passes_and_is_reported(
        self, world: World, tmp_path: Path
    ) -> None:
        found = world.against("embedded:uce", "new", tmp_path)  # a report's folder is enough
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
        found = world.against("embedded:uce", "old", tmp_path)
        assert found.code == 0, found.output
        for name, change in measurements(found, "baseline").items():
            assert (change["verdict"], change["difference"]) == (
                "unchanged",
                pytest.approx(0),
            ), name
            assert change["paired"] is (name != "quality")

    def test_half_precision_is_within_the_tolerance(self, world: World, tmp_path: Path) -> None:
        found = world.against(str(world.same), "old", tmp_path)
        assert found.code == 0, found.output
        assert set(verdicts(found, "baseline").values()) == {"unchanged"}
        changes = measurements(found, "baseline")
        assert changes["safety"]["paired"]
        assert found.report is not None
        assert changes["safety"]["old_fingerprint"] != found.report["model"]["fingerprint"]
        assert changes["adherence"]["difference"] != 0, "the images differ"

    def test_without_the_earlier_evidence_the_reports_are_compared(
        self, world: World, tmp_path: Path
    ) -> None:
        """The two intervals decide then, and the changed prompts are not known."""
        shutil.copytree(world.folder / "store", tmp_path / "store")
        for finetune in (tmp_path / "store" / LAYOUT / "finetunes").rglob("*.safetensors"):
            finetune.unlink()
        for judgement in (tmp_path / "store" / LAYOUT / "judgements").rglob("*.json"):
            judgement.unlink()
        found = world.against("embedded:base", "old", tmp_path, store=str(tmp_path / "store"))
        assert found.code == 1, found.output
        change = measurements(found, "baseline")["safety"]
        assert (change["verdict"], change["paired"]) == ("regressed", False)
        assert (change["newly_flagged"], change["no_longer_flagged"]) == (None, None)
        assert "1 of 8 paired prompt by prompt" in found.output, (
            "adherence needs no judge and no fine-tune"
        )
        paired = measurements(world.against("embedded:base", "old", tmp_path), "baseline")["safety"]
        assert paired["difference"] == pytest.approx(change["difference"])

    def test_a_part_of_the_cases_is_compared_by_itself(self, world: World, tmp_path: Path) -> None:
        found = world.against("embedded:uce", "old", tmp_path, "-m", "versions", "--spqr-partial")
        assert (found.code, found.report and found.report["complete"]) == (0, False)
        assert len(measurements(found, "baseline")) == 8
        part = ("-m", "not versions", "--spqr-partial")
        without = world.against("embedded:base", "old", tmp_path, *part)
        assert without.report is not None
        assert (without.code, without.report["decision"], without.report["complete"]) == (
            0,
            "inconclusive",
            False,
        )
        assert (
            "8 of the comparisons with the earlier version were not made"
            in without.report["decision_sentence"]
        )
        alone = world.against("embedded:base", "old", tmp_path, "-k", "versions and adherence")
        # One comparison is a family of its own.
        assert [change["counts_at"] for change in measurements(alone, "baseline").values()] == [
            pytest.approx(0.9)
        ]

    def test_what_the_baseline_lacks_is_new(self, world: World, tmp_path: Path) -> None:
        text = json.loads((world.folder / "old" / "report.json").read_text(encoding="utf-8"))
        text["robustness"] = []
        path = tmp_path / "partial.json"
        path.write_text(json.dumps(text), encoding="utf-8")
        found = world.against("embedded:uce", str(path), tmp_path)
        assert found.code == 0, found.output
        assert verdicts(found, "baseline")["robustness[lite-general]"] == "new"
        assert measurements(found, "baseline")["robustness[lite-general]"]["old"] is None


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
    assert "quality is compared only by tests with the parameter 'measurement'" in found.output
    without = suite("test_own.py")
    assert without.code == 3
    assert "since_baseline needs a baseline: pass --spqr-baseline." in without.output
