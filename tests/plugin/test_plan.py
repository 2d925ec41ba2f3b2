"""The plan says what the run would do, and does nothing."""

import re
import shutil
from pathlib import Path

import pytest

from spqr_fixtures.embedded import weights
from spqr_tests.store.store import LAYOUT
from tests.plugin.plans import VARIANTS, Plan, Planned, stable_diffusion_1, start
from tests.running import PROTOCOL, Finished

TINY = PROTOCOL.read_text(encoding="utf-8")


def kinds(store: Path) -> set[str]:
    """The kinds of entries in a store."""
    return {path.name for path in (store / LAYOUT).iterdir()}


class TestBeforeAndAfter:
    def test_an_empty_store(self, whole: Planned, warm: tuple[Path, Finished], empty: Path) -> None:
        made = whole
        assert made.code == 0, made.output
        report = warm[1].report
        assert report is not None
        assert made.to_make("images") == report["cost"]["generated"]
        assert sum(row["at_most"] for row in made.rows("judgements")) == report["cost"]["judged"]
        assert (
            sum(not row["stored"] for row in made.rows("finetunes")) == report["cost"]["finetuned"]
        )
        assert kinds(empty) == {"pictures", "tokens"}

    def test_a_store_that_holds_everything(
        self, plan: Plan, warm: tuple[Path, Finished], tmp_path: Path
    ) -> None:
        store = tmp_path / "copy"
        shutil.copytree(warm[0], store)
        before = sorted(store.rglob("*"))
        made = plan(store=store)
        assert made.code == 0, made.output
        assert made.plan is not None
        assert [row["images"] for row in made.rows("images")] == [9 + 12, 9, 9, 9]
        for of in ("images", "embeddings", "judgements"):
            assert made.to_make(of) == 0
            assert sum(row["images"] for row in made.rows(of)) > 0
        assert [row["stored"] for row in made.rows("finetunes")] == [True] * 3
        assert (made.plan["flops"]["total"], made.plan["time"], made.plan["disk"]["bytes"]) == (
            0,
            None,
            0,
        )
        assert sorted(store.rglob("*")) == before

    def test_a_store_that_lost_something(
        self, plan: Plan, warm: tuple[Path, Finished], tmp_path: Path
    ) -> None:
        store = tmp_path / "copy"
        shutil.copytree(warm[0], store)
        shutil.rmtree(store / LAYOUT / "judgements")
        lite = next(
            path
            for path in (store / LAYOUT / "finetunes").rglob("*.safetensors")
            if b"lora_A" in path.read_bytes()
        )
        lite.unlink()
        made = plan(store=store)
        assert [row["stored"] for row in made.rows("finetunes")] == [False, True, True]
        # What the variant generates depends on weights that are not known yet.
        assert [row["images"] - row["stored"] for row in made.rows("images")] == [0, 9, 0, 0]
        # And 16 benign pictures, which are checked before they are trained on.
        assert [row["at_most"] for row in made.rows("judgements")] == [4 * 9 + 16] * 2


class TestTheNumbers:
    def test_the_rows(self, whole: Planned) -> None:
        made = whole
        assert made.plan is not None
        assert made.plan["schema"] == "spqr-plan/2"
        assert {row["name"]: row["rows"] for row in made.rows("prompts")} == {
            "harmful": 9,
            "adherence": 12,
            "quality": 12,
        }
        assert [row["of"] for row in made.rows("images")] == ["the checkpoint", *VARIANTS]
        first = made.rows("finetunes")[0]
        assert {
            key: first[key]
            for key in ("profile", "scenario", "pictures", "steps", "batch", "stored")
        } == {
            "profile": "lite",
            "scenario": "general",
            "pictures": 16,
            "steps": 2,
            "batch": 8,
            "stored": False,
        }
        assert {row["of"]: row["images"] for row in made.rows("embeddings")} == {
            "reference pictures": 24,
            "generations": 12,
        }

    def test_the_sums(self, whole: Planned) -> None:
        made = whole
        assert made.plan is not None
        flops, time, disk = (made.plan[key] for key in ("flops", "time", "disk"))
        assert flops["generate"] == sum(row["flops"] for row in made.rows("images"))
        assert flops["train"] == sum(row["flops"] for row in made.rows("finetunes"))
        assert flops["judge"] == 52 * 2_025_254_400
        assert flops["total"] == flops["generate"] + flops["train"] + flops["judge"]
        assert flops["not_counted"] == ["concepts", "embeddings"]
        assert time["seconds"] == pytest.approx(sum(time["stages"].values()), abs=0.1)
        assert time["not_counted"] == [], "small judges and encoders are tried out"
        assert all(time["stages"][one] > 0 for one in ("generate", "train", "judge", "embed"))
        assert time["stages"]["generate"] == pytest.approx(
            flops["generate"] / (time["rate"] * time["share"]), abs=0.01
        )
        # Three variants of 9 harmful prompts, in two micro-batches of 8 each; one of 12 benign ones
        # more for the checkpoint.
        by_name = {row["of"]: row["flops"] for row in made.rows("images")}
        assert by_name["the checkpoint"] / by_name["lite-general"] == pytest.approx(2, rel=0.01)
        assert disk["bytes"] > 4 * sum(row["parameters"] for row in made.rows("finetunes"))

    def test_a_padded_batch_costs_as_much_as_a_full_one(self, plan: Plan) -> None:
        nine = plan("-m", "safety").rows("images")[0]["flops"]
        three = plan("-m", "safety", "--spqr-limit=3").rows("images")[0]["flops"]
        assert nine / three == pytest.approx(2, rel=0.01)

    def test_a_model_of_real_size_needs_its_configs_only(self, plan: Plan, tmp_path: Path) -> None:
        protocol = tmp_path / "real.toml"
        numbers = {
            "steps = 2\nguidance = 4.0": "steps = 50\nguidance = 7.5",
            "= 32\n": "= 512\n",
            "\nbatch = 8": "\nbatch = 16",
        }
        text = TINY
        for old, new in numbers.items():
            assert old in text
            text = text.replace(old, new)
        protocol.write_text(text.replace("micro_batch = 8", "micro_batch = 3"), encoding="utf-8")
        made = plan(
            "-k",
            "robustness and standard",
            model=stable_diffusion_1(tmp_path / "sd1"),
            protocol=protocol,
        )
        assert made.code == 0, made.output
        assert "fingerprint none, without weights" in made.output
        row = made.rows("finetunes")[0]
        assert row["parameters"] == 859_520_964
        # Two steps of 16 at 3 x .802 TFLOP a picture, and 16 pictures encoded.
        assert row["flops"] / 1e12 == pytest.approx(16 * (2 * 3 * 0.802 + 1.12), rel=0.01)
        images = {row["of"]: row for row in made.rows("images")}
        assert images["standard-general"]["flops"] / 1e12 == pytest.approx(9 * 82.9, rel=0.01)


class TestWhatIsPlanned:
    def test_a_marker_narrows_it(self, plan: Plan) -> None:
        made = plan("-m", "safety")
        assert [(row["of"], row["images"]) for row in made.rows("images")] == [
            ("the checkpoint", 9)
        ]
        assert [row["name"] for row in made.rows("prompts")] == ["harmful"]
        assert made.rows("finetunes") == made.rows("embeddings") == []

    def test_adherence_alone_is_not_judged(self, plan: Plan) -> None:
        made = plan("-m", "adherence")
        assert [row["images"] for row in made.rows("judgements")] == [0, 0]
        assert [row["images"] for row in made.rows("images")] == [12]

    def test_one_variant(self, plan: Plan) -> None:
        for how in (
            ("-k", "robustness and moderate"),
            ("-m", "robustness", "--spqr-profiles=moderate"),
        ):
            made = plan(*how)
            assert [row["of"] for row in made.rows("images")] == [
                "the checkpoint",
                "moderate-general",
            ]
            assert len(made.rows("finetunes")) == 1

    def test_what_versions_are_compared_by(
        self, plan: Plan, whole: Planned, warm: tuple[Path, Finished]
    ) -> None:
        baseline = f"--spqr-baseline={warm[0].parent}"
        compared = plan(baseline, "-m", "versions")
        for of in ("images", "finetunes", "judgements"):
            assert compared.rows(of) == whole.rows(of)
        assert [
            row["images"] for row in plan(baseline, "-k", "versions and adherence").rows("images")
        ] == [12]
        one = plan(baseline, "-k", "versions and robustness and lite")
        assert [row["profile"] for row in one.rows("finetunes")] == ["lite"]
        assert [row["images"] for row in one.rows("images")] == [9, 9]

    def test_a_limit(self, plan: Plan) -> None:
        made = plan("--spqr-limit=3", "-m", "safety or adherence or quality")
        assert made.code == 0
        assert [row["rows"] for row in made.rows("prompts")] == [3, 3, 3]

    def test_a_ready_adapter_is_not_trained(self, plan: Plan, tmp_path: Path) -> None:
        from safetensors.torch import load_file, save_file

        name = "diffusion_pytorch_model.safetensors"
        tensors = load_file(weights.base_folder() / "unet" / name)
        save_file({"conv_out.bias": tensors["conv_out.bias"] + 0.01}, tmp_path / "mine.safetensors")
        made = plan(
            f"--spqr-adapter=mine={tmp_path / 'mine.safetensors'}",
            "--spqr-profiles=adapter",
            model="embedded:base",
        )
        assert made.code == 0, made.output
        assert [row["of"] for row in made.rows("images")] == ["the checkpoint", "adapter-mine"]
        assert made.rows("finetunes") == []

    def test_the_judges_that_look_at_benign_pictures(self, plan: Plan, tmp_path: Path) -> None:
        protocol = tmp_path / "threat.toml"
        for table, calls in (
            ('judges = ["nudenet"]', [2 * 9 + 16, 2 * 9]),
            ("images = false", [2 * 9, 2 * 9]),
        ):
            protocol.write_text(f"{TINY}\n[threat]\n{table}\n", encoding="utf-8")
            made = plan("-k", "robustness and moderate", protocol=protocol)
            assert [row["at_most"] for row in made.rows("judgements")] == calls

    def test_prompts_out_of_distribution(self, plan: Plan, tmp_path: Path) -> None:
        protocol = tmp_path / "ood.toml"
        ood = '[ood]\nprompts = "embedded-harmful-multilingual.jsonl"\nn = 6\n\n[adherence]'
        protocol.write_text(TINY.replace("[adherence]", ood, 1), encoding="utf-8")
        made = plan("-m", "safety or robustness", "--spqr-profiles=moderate", protocol=protocol)
        assert {row["name"]: row["rows"] for row in made.rows("prompts")} == {
            "harmful": 9,
            "ood": 6,
        }
        assert [row["images"] for row in made.rows("images")] == [15] * 2
        assert [row["images"] for row in made.rows("judgements")] == [2 * 15 + 16] * 2

        protocol.write_text(
            protocol.read_text(encoding="utf-8").replace("draws = 400", "draws = 2000"),
            encoding="utf-8",
        )
        early = plan(
            "-m",
            "safety or robustness",
            "--spqr-profiles=moderate",
            "--spqr-sequential",
            protocol=protocol,
        )
        assert early.plan is not None
        assert early.plan["sequential"] is True
        assert {row["name"]: row["rows"] for row in early.rows("prompts")} == {"harmful": 9}
        assert "--spqr-sequential: at most this" in early.output


class TestTheSession:
    def test_says_so_and_runs_nothing(self, whole: Planned) -> None:
        made = whole
        for said in (
            "spqr model: embedded:uce",
            "plan of embedded:uce on protocol tiny",
            "images of standard-general",
            "training lite-general, 2 steps of 8",
            "judgements by nudenet",
            "time: about",
            "nothing was generated, fine-tuned or judged",
        ):
            assert said in made.output
        assert not re.search(r"\d (passed|failed|error)", made.output)
        assert "SPQR not measured" not in made.output

    @pytest.mark.parametrize(
        "how", [("-n2",), ("-n2", "--dist=loadscope"), ("-p", "no:xdist")], ids=" ".join
    )
    def test_no_worker_is_started(self, plan: Plan, how: tuple[str, ...]) -> None:
        made = plan("-m", "safety", *how)
        assert made.code == 0, made.output
        # A path of this test may hold the name of an outer run's worker.
        assert not re.search(r"\d workers \[|^gw\d|\[gw\d\]", made.output, re.MULTILINE)
        assert len(made.rows("images")) == 1

    def test_quiet(self, plan: Plan) -> None:
        made = plan("-m", "safety", "-q")
        assert made.code == 0
        assert "spqr model" not in made.output
        assert "images of the checkpoint" in made.output

    def test_collect_only_lists_the_cases_first(self, plan: Plan) -> None:
        made = plan("-m", "safety", "--collect-only")
        assert made.code == 0
        assert "<Function test_" in made.output
        assert made.plan is not None

    def test_nothing_selected_is_pytests_own_code(self, plan: Plan) -> None:
        made = plan("-k", "nothing_of_the_kind")
        assert (made.code, made.plan) == (5, None)
        assert "plan of" not in made.output

    def test_needs_a_model(self, tmp_path: Path) -> None:
        (tmp_path / "test_something.py").write_text("def test_something(): raise SystemExit(9)")
        made = start(tmp_path, "--spqr-plan")
        assert made.code == 4
        assert (
            "--spqr-plan says what measuring a model would cost. Pass the checkpoint" in made.output
        )

    def test_a_test_that_cannot_be_collected(self, plan: Plan, tmp_path: Path) -> None:
        path = tmp_path / "test_own.py"
        path.write_text("import nowhere")
        made = plan(path)
        assert (made.code, made.plan) == (2, None)
        assert "nowhere" in made.output

    def test_a_profile_that_fits_nothing_would_break_the_run(
        self, plan: Plan, tmp_path: Path
    ) -> None:
        protocol = tmp_path / "misfit.toml"
        protocol.write_text(
            TINY.replace('trains = "lora"', 'trains = "lora"\ntargets = ["to_z"]'), encoding="utf-8"
        )
        made = plan("-m", "robustness", protocol=protocol)
        assert (made.code, made.plan) == (3, None)
        assert (
            "The run would break: The profile that trains lora does not fit this denoiser"
            in made.output
        )


class TestWithoutWeights:
    @pytest.fixture
    def weightless(self, tmp_path: Path) -> Path:
        """The base's configs and tokenizer."""
        folder = tmp_path / "weightless"
        shutil.copytree(
            weights.base_folder(), folder, ignore=shutil.ignore_patterns("*.safetensors")
        )
        return folder

    def test_the_plan_is_the_same(self, plan: Plan, weightless: Path) -> None:
        without, made = (
            plan("-k", "moderate", model=model) for model in (weightless, "embedded:base")
        )
        assert without.code == 0, without.output
        assert without.plan is not None
        assert without.plan["model"]["fingerprint"] == ""
        assert "no weights of the unet" in without.output
        for of in ("prompts", "images", "finetunes", "judgements", "embeddings", "flops"):
            assert without.rows(of) == made.rows(of)

    def test_nothing_can_be_laid_over_it(
        self, plan: Plan, weightless: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "mine.safetensors").write_bytes(b"")
        for option in ("--spqr-overlay=", "--spqr-adapter=mine="):
            made = plan(f"{option}{tmp_path / 'mine.safetensors'}", model=weightless)
            assert (made.code, made.plan) == (4, None)
            assert "are not here, so nothing can be applied to them" in made.output

    def test_it_cannot_be_measured(self, weightless: Path, tmp_path: Path) -> None:
        measured = start(tmp_path, f"--model={weightless}", f"--spqr-store={tmp_path / 'store'}")
        assert measured.code == 4
        assert "holds no safetensors weights" in measured.output
