"""Runs give the same numbers however they are started.

Nothing is made twice, and an exit code means one thing.
"""

import json
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from spqr_fixtures.embedded import weights
from spqr_tests.store.store import LAYOUT
from tests.running import PROTOCOL, Finished, Suite, start, thresholds

STARTS = pytest.mark.parametrize("how", [("-p", "no:xdist"), ("-n0",), ("-n2",)], ids=" ".join)
PLUGIN = ("-p", "intruder")


def images(store: Path) -> int:
    return sum(1 for _ in (store / LAYOUT / "generations").rglob("*.png"))


class TestTheReport:
    def test_holds_every_measurement(self, warm: tuple[Path, Finished]) -> None:
        report = warm[1].report
        assert report is not None
        assert report["schema"] == "spqr-report/2"
        assert (report["complete"], report["decision"], report["missing"], report["problems"]) == (
            True,
            "pass",
            [],
            {},
        )
        assert report["model"]["target"] == "embedded:uce"
        assert len(report["model"]["fingerprint"]) == 64
        assert [report["axes"][axis]["n"] for axis in ("safety", "adherence", "quality")] == [
            9,
            12,
            12,
        ]
        assert [category["name"] for category in report["categories"]] == [
            "copyrighted",
            "private",
            "unsafe",
        ]
        assert [cell["profile"] for cell in report["robustness"]] == [
            "lite",
            "moderate",
            "standard",
        ]
        assert {judge["name"] for judge in report["judges"]} == {"nudenet", "concepts"}

    def test_agrees_with_itself(self, warm: tuple[Path, Finished]) -> None:
        report = warm[1].report
        assert report is not None
        axes, score = report["axes"], report["score"]
        for cell in report["robustness"]:
            assert cell["drift"] == pytest.approx(
                cell["harmfulness_after"] - cell["harmfulness_before"]
            )
            assert cell["drift_low"] <= cell["drift"] <= cell["drift_high"]
            assert set(cell["definitions"]) == {"retention", "sigmoid"}
            parts = [axes[axis]["value"] for axis in ("safety", "adherence", "quality")] + [
                cell["value"]
            ]
            harmonic = 4 / sum(1 / part for part in parts) if all(parts) else 0
            assert cell["spqr"] == pytest.approx(harmonic)
        headline = next(cell for cell in report["robustness"] if cell["profile"] == "standard")
        assert score["value"] == headline["spqr"]
        for category in report["categories"]:
            assert category["low"] <= category["harmfulness"] <= category["high"]

    def test_gives_quality_a_second_opinion(self, warm: tuple[Path, Finished]) -> None:
        report = warm[1].report
        assert report is not None
        context = report["axes"]["quality"]["context"]
        assert context["cmmd_low"] < context["cmmd"] < context["cmmd_high"]
        assert context["features"].startswith("judge, open_clip")

    def test_counts_what_was_made(self, warm: tuple[Path, Finished]) -> None:
        store, finished = warm
        assert finished.report is not None
        cost = finished.report["cost"]
        # 9 harmful prompts before and after three fine-tunes, and 12 benign ones.
        assert (cost["generated"], cost["finetuned"]) == (9 * 4 + 12, 3)
        assert images(store) == cost["generated"]
        assert cost["judged"] == sum(1 for _ in (store / LAYOUT / "judgements").rglob("*.json"))

    def test_the_summary_says_it_all(self, warm: tuple[Path, Finished]) -> None:
        output = warm[1].output
        for said in (
            "SPQR of embedded:uce on protocol tiny",
            "robustness[standard-general]",
            "standard x general",
            "PASS",
        ):
            assert said in output
        for said in (
            "spqr model: embedded:uce (Stable Diffusion, fingerprint",
            "spqr protocol: tiny (hash",
            "spqr judge: nudenet",
            "spqr store:",
        ):
            assert said in output


class TestTheSameHoweverStarted:
    @STARTS
    def test_a_second_run_makes_nothing_and_says_the_same(
        self, suite: Suite, warm: tuple[Path, Finished], how: tuple[str, ...]
    ) -> None:
        again = suite(*how)
        assert again.code == 0
        assert again.report is not None
        assert [again.report["cost"][key] for key in ("generated", "judged", "finetuned")] == [
            0,
            0,
            0,
        ]
        assert again.numbers() == warm[1].numbers()

    def test_two_workers_make_nothing_twice(
        self, suite: Suite, warm: tuple[Path, Finished], tmp_path: Path
    ) -> None:
        store = tmp_path / "shared"
        cold = suite("-n2", store=store)
        assert cold.code == 0, cold.output
        assert cold.report is not None
        assert warm[1].report is not None
        counted = ("generated", "judged", "finetuned", "damaged")
        for key in counted:
            assert cold.report["cost"][key] == warm[1].report["cost"][key]
        stages = cold.report["cost"]["stages"]
        assert min(stages[one] for one in stages if one != "waiting") > 0
        assert stages["waiting"] >= 0
        assert images(store) == images(warm[0])
        assert cold.numbers() == warm[1].numbers()

    def test_damaged_evidence_is_made_again(
        self, suite: Suite, warm: tuple[Path, Finished], tmp_path: Path
    ) -> None:
        store = tmp_path / "damaged"
        shutil.copytree(warm[0], store)
        picture = min((store / LAYOUT / "generations").rglob("*.png"))
        picture.write_bytes(picture.read_bytes()[:-40])
        record = min((store / LAYOUT / "judgements").rglob("*.json"))
        record.write_text(
            record.read_text()
            .replace("false", "true")
            .replace('"flagged": true', '"flagged": false')
        )
        again = suite(store=store)
        assert again.code == 0
        assert again.report is not None
        assert again.report["cost"]["generated"] == 1
        # The judgement may be of a benign picture, whose set is known to be admitted.
        assert again.report["cost"]["damaged"] in (1, 2)
        assert "store: damaged entries that were made again: " in again.output
        assert again.numbers() == warm[1].numbers()


class TestExitCodes:
    @STARTS
    def test_a_missed_threshold_is_1(self, suite: Suite, how: tuple[str, ...]) -> None:
        failed = suite(*how, quality=1.0)
        assert failed.code == 1
        assert failed.report is not None
        assert (failed.report["complete"], failed.report["decision"]) == (True, "fail")
        assert [case["name"] for case in failed.report["cases"] if case["outcome"] != "pass"] == [
            "quality"
        ]
        assert "fail: quality = " in failed.output
        assert "decision.passed" not in failed.output  # a sentence, not the assertion's source

    def test_an_undecided_threshold_is_1(self, suite: Suite) -> None:
        undecided = suite(safety=0.9)
        assert undecided.code == 1
        assert undecided.report is not None
        assert undecided.report["decision"] in {"inconclusive", "fail"}

    @STARTS
    def test_a_judge_that_raises_is_3(
        self,
        suite: Suite,
        unjudged: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        how: tuple[str, ...],
    ) -> None:
        (tmp_path / "intruder.py").write_text(
            "from spqr_tests.judging.judges.nudenet import NudeNetJudge\n"
            "def judge(self, images): raise OSError('the model file is gone')\n"
            "NudeNetJudge.judge = judge\n"
        )
        broken = self.intruded(suite, *how, store=unjudged, path=tmp_path, monkeypatch=monkeypatch)
        assert "the model file is gone" in broken.output

    def test_a_worker_that_dies_is_3(
        self, suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "intruder.py").write_text(
            "import os\ndef pytest_runtest_call(item):\n    if 'look_like' in item.name:"
            " os._exit(7)\n"
        )
        self.intruded(suite, "-n2", path=tmp_path, monkeypatch=monkeypatch)

    def test_a_case_that_is_skipped_is_3(
        self, suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "intruder.py").write_text(
            "import pytest\ndef pytest_runtest_setup(item):\n    if 'look_like' in item.name:"
            " pytest.skip('no time')\n"
        )
        self.intruded(suite, path=tmp_path, monkeypatch=monkeypatch)

    @pytest.mark.parametrize("how", [("-p", "no:xdist"), ("-n2",)], ids=" ".join)
    def test_a_case_that_never_reports_is_3(
        self, suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: tuple[str, ...]
    ) -> None:
        # What a property of a type that execnet cannot send does under xdist: the test vanishes.
        (tmp_path / "intruder.py").write_text(
            "import pytest\n@pytest.hookimpl(tryfirst=True)\ndef pytest_runtest_protocol(item):\n"
            "    return True if 'look_like' in item.name else None\n"
        )
        self.intruded(suite, *how, path=tmp_path, monkeypatch=monkeypatch)

    @pytest.mark.parametrize("value", ["nan", "1e38"], ids=["in the weights", "when it generates"])
    def test_a_model_that_generates_nan_is_3(
        self, suite: Suite, tmp_path: Path, value: str
    ) -> None:
        from safetensors.torch import load_file, save_file

        folder = tmp_path / "broken"
        shutil.copytree(weights.base_folder(), folder)
        path = folder / "unet" / "diffusion_pytorch_model.safetensors"
        tensors = {name: tensor.float() for name, tensor in load_file(path).items()}
        tensors["conv_out.weight"].fill_(float(value))
        save_file(tensors, path)
        broken = suite(model=str(folder), store=tmp_path / "store")
        self.is_broken(broken)
        assert "not finite" in broken.output or "not all finite" in broken.output

    def intruded(
        self,
        suite: Suite,
        *how: str,
        path: Path,
        monkeypatch: pytest.MonkeyPatch,
        store: Path | None = None,
    ) -> Finished:
        monkeypatch.setenv("PYTHONPATH", str(path))
        finished = suite(*PLUGIN, *how, store=store)
        self.is_broken(finished)
        return finished

    @staticmethod
    def is_broken(finished: Finished) -> None:
        assert finished.code == 3, finished.output
        assert finished.report is not None
        assert finished.report["complete"] is False
        assert finished.report["decision"] != "pass"
        assert finished.report["problems"]


class TestPytestsManners:
    def test_a_marker_selects_and_the_report_says_what_is_missing(self, suite: Suite) -> None:
        some = suite("-m", "safety", "--spqr-partial")
        assert some.code == 0
        assert some.report is not None
        assert (some.report["complete"], some.report["decision"], some.report["score"]) == (
            False,
            "inconclusive",
            None,
        )
        assert (
            "INCONCLUSIVE: INCOMPLETE, 8 of 12 measurements were not made: adherence, quality,"
            in some.output
        )

    def test_profiles_select_and_the_score_is_the_lowest_measured(self, suite: Suite) -> None:
        some = suite("--spqr-profiles=lite,moderate")
        assert some.code == 0
        assert some.report is not None
        assert some.report["complete"] is True
        assert some.report["scope"]["profiles"] == ["lite", "moderate"]
        assert some.report["score"]["value"] == min(
            cell["spqr"] for cell in some.report["robustness"]
        )

    def test_x_stops_at_the_first_missed_threshold(self, suite: Suite) -> None:
        stopped = suite("-x", quality=1.0)
        assert stopped.code == 1
        assert stopped.report is not None
        assert (stopped.report["complete"], stopped.report["problems"]) == (False, {})

    @pytest.mark.parametrize("how", [(), ("-n2",)], ids=["alone", "n2"])
    def test_a_limit_decides_nothing(self, suite: Suite, how: tuple[str, ...]) -> None:
        limited = suite("--spqr-limit=4", *how)
        assert limited.code == 1
        assert limited.report is not None
        assert (
            limited.report["limit"],
            limited.report["complete"],
            limited.report["decision"],
        ) == (4, False, "inconclusive")
        assert limited.output.count("LIMITED") == 2

    def test_decisions_are_in_the_junit_file(self, suite: Suite, tmp_path: Path) -> None:
        path = tmp_path / "junit.xml"
        suite("-n2", f"--junitxml={path}", "-m", "robustness")
        values = [
            p.get("value")
            for p in ET.parse(path).iter("property")  # noqa: S314  our own file
            if p.get("name") == "spqr:decision"
        ]
        assert sorted(json.loads(str(value))["measurement"]["name"] for value in values) == [
            f"robustness[{profile}-general]" for profile in ("lite", "moderate", "standard")
        ]

    def test_nothing_selected_is_pytests_own_code(self, suite: Suite) -> None:
        assert suite("-k", "nothing_of_the_kind").code == 5


def test_what_a_launcher_or_a_conftest_left_behind_changes_no_number(
    warm: tuple[Path, Finished], tmp_path: Path
) -> None:
    """An empty store, so that everything is generated, trained and judged under it."""
    (tmp_path / "conftest.py").write_text(
        "import torch\n"
        "torch.set_grad_enabled(False)\n"
        "torch.set_num_threads(2)\n"
        "torch.set_float32_matmul_precision('medium')\n"
        "torch.set_default_dtype(torch.float64)\n"
    )
    hostile = start(
        "--model=embedded:uce",
        f"--spqr-protocol={PROTOCOL}",
        f"--spqr-store={tmp_path / 'store'}",
        f"--spqr-thresholds={thresholds(tmp_path)}",
        cwd=tmp_path,
        report=tmp_path / "report",
        ACCELERATE_MIXED_PRECISION="bf16",
        ACCELERATE_GRADIENT_ACCUMULATION_STEPS="4",
        RANK="0",
        LOCAL_RANK="0",
        WORLD_SIZE="2",
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT="29511",
        OMP_NUM_THREADS="2",
    )
    assert hostile.code == 0, hostile.output
    assert hostile.numbers() == warm[1].numbers()
