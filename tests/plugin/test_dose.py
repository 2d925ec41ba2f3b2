"""Curves in a run: decided where the thresholds bound them, otherwise reported; one training."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.plugin.plans import Plan
from tests.running import PROTOCOL, Finished, Suite, thresholds

BOUND = """
[tiny.robustness.curve]
drift_stays_below = {drift}
until = {until}
reason = "who trains shorter finds no more"
"""
NAME = "dose[standard-general]"
ONLY = ("--spqr-profiles=standard", "--spqr-scenarios=general")

Files = Callable[..., tuple[str, str]]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """The options for a protocol whose standard profile has a curve, and for its thresholds."""

    def made(
        *bound: float, curve: str = "curve = [1, 2]", budget: str = "steps = 2"
    ) -> tuple[str, str]:
        text = PROTOCOL.read_text(encoding="utf-8")
        old = '[profiles.standard]\ntrains = "denoiser"\nsteps = 2\n'
        assert old in text
        new = old.replace("steps = 2", f"{budget}\n{curve}")
        protocol = tmp_path / "curve.toml"
        protocol.write_text(text.replace(old, new), encoding="utf-8")
        (tmp_path / "own").mkdir(exist_ok=True)
        path = thresholds(tmp_path / "own")
        if bound:
            drift, until = bound
            with path.open("a", encoding="utf-8") as file:
                file.write(BOUND.format(drift=drift, until=until))
        return f"--spqr-protocol={protocol}", f"--spqr-thresholds={path}"

    return made


def report(found: Finished) -> dict[str, Any]:
    assert found.report is not None, found.output
    return found.report


def case(found: Finished) -> dict[str, Any]:
    [one] = [one for one in report(found)["cases"] if one["name"] == NAME]
    return dict(one)


def test_a_bounded_curve_is_decided_and_reported(suite: Suite, files: Files) -> None:
    found = suite(*files(100, 2), *ONLY)
    assert found.code == 0, found.output
    made = report(found)
    assert made["complete"]
    # The whole training came from the store, so that one step alone was left to make.
    assert made["cost"]["finetuned"] == 1
    [curve] = made["curves"]
    assert [point["steps"] for point in curve["points"]] == [1, 2]
    assert (curve["trainings"], curve["until"], curve["n"]) == (1, 2, 9)
    [cell] = made["robustness"]
    assert curve["points"][-1]["drift"] == cell["drift"]
    assert curve["points"][-1]["low"] <= cell["drift_low"]
    assert case(found)["measured"] == "drift within 2 steps[standard-general]"
    assert (case(found)["bound"], case(found)["direction"]) == (100, "max")
    assert case(found)["high"] == max(point["high"] for point in curve["points"])
    assert "spqr curve: standard-general at 1, 2 steps of one training" in found.output
    assert (
        "the band is of all steps together, and takes in a spread between trainings" in found.output
    )
    assert "standard x general: more than 100 points of drift: not within 2 steps" in found.output


def test_a_curve_above_its_bound_fails_the_run(suite: Suite, files: Files) -> None:
    found = suite(*files(-99, 2), *ONLY)
    assert found.code == 1
    assert case(found)["outcome"] == "fail"
    assert "drift within 2 steps[standard-general] = " in found.output
    assert "(reason: who trains shorter finds no more)" in found.output


def test_a_curve_without_a_bound_is_reported_and_decides_nothing(
    suite: Suite, files: Files
) -> None:
    found = suite(*files(), *ONLY)
    assert found.code == 0, found.output
    assert not [one for one in report(found)["cases"] if one["name"].startswith("dose")]
    [curve] = report(found)["curves"]
    assert len(curve["points"]) == 2
    assert (curve["until"], curve["greatest"]) == (None, None)
    assert "test_a_curve_without_a_bound_is_measured" not in report(found)["problems"]


def test_a_bound_that_is_deselected_is_missing(suite: Suite, files: Files) -> None:
    found = suite(*files(100, 2), *ONLY, "-k", "not dose")
    assert found.code == 1
    assert report(found)["missing"] == [NAME]
    assert report(found)["curves"] == []


def test_a_variant_without_a_curve_has_no_case(suite: Suite, files: Files) -> None:
    found = suite(*files(100, 2), "--spqr-profiles=lite")
    assert found.code == 0, found.output
    assert report(found)["curves"] == []
    assert "dose" not in found.output


def test_an_earlier_step_alone_may_be_bounded(suite: Suite, files: Files) -> None:
    found = suite(*files(100, 1), *ONLY)
    assert found.code == 0, found.output
    [curve] = report(found)["curves"]
    assert case(found)["high"] == curve["points"][0]["high"]


@pytest.mark.parametrize(
    ("bound", "curve", "budget", "said"),
    [
        (
            (100, 3),
            "curve = [1, 2]",
            "steps = 2",
            (
                "tiny.robustness.curve says until = 3, but profiles.standard.curve keeps 1, 2: keep"
                " step 3 too, or name one of these."
            ),
        ),
        (
            (100, 2),
            "",
            "steps = 2",
            (
                "tiny.robustness.curve bounds a curve, but no profile of the protocol has one:"
                " state profiles.NAME.curve = [..., 2] in it, or leave out the table."
            ),
        ),
        (
            (),
            "curve = [1, 5]",
            "epochs = 2",
            (
                "profiles.standard.curve ends at step 5, but its training on general has 4 steps (2"
                " epochs of 16 pictures in batches of 8): leave out what is beyond, or train"
                " longer."
            ),
        ),
    ],
    ids=["another step", "no curve", "beyond the epochs"],
)
def test_what_cannot_be_decided_is_refused(
    suite: Suite, files: Files, bound: tuple[float, ...], curve: str, budget: str, said: str
) -> None:
    found = suite(*files(*bound, curve=curve, budget=budget))
    assert found.code == 4
    assert said in " ".join(found.output.split())


def test_a_try_out_has_a_shorter_curve(suite: Suite, files: Files) -> None:
    found = suite(*files(100, 2), *ONLY, "--spqr-limit=1")
    assert report(found)["problems"] == {}, found.output
    [curve] = report(found)["curves"]
    assert [point["steps"] for point in curve["points"]] == [1]


def test_a_sequential_run_uses_all_prompts_for_a_curve(suite: Suite, files: Files) -> None:
    options = files(100, 2)
    path = Path(options[0].removeprefix("--spqr-protocol="))
    path.write_text(path.read_text("utf-8").replace("draws = 400", "draws = 2000"), "utf-8")
    found = suite(*options, *ONLY, "--spqr-sequential")
    assert report(found)["problems"] == {}, found.output
    assert (case(found)["n"], case(found)["planned"]) == (9, 9)
    assert "--spqr-sequential: curves use all their prompts." in found.output
    assert "steps of one training, with all prompts" in found.output


def test_versions_are_compared_by_the_same_bound_only(
    suite: Suite, files: Files, tmp_path: Path
) -> None:
    first = suite(*files(100, 2), *ONLY)
    assert first.code == 0, first.output
    (tmp_path / "report").rename(tmp_path / "first")
    baseline = f"--spqr-baseline={tmp_path / 'first'}"
    same = suite(*files(100, 2), *ONLY, baseline)
    compared = report(same)["comparison"]["baseline"]["measurements"]
    assert (compared[NAME]["verdict"], compared[NAME]["difference"]) == ("unchanged", 0)
    assert same.code == 0, same.output
    other = suite(*files(100, 1), *ONLY, baseline)
    assert report(other)["comparison"]["baseline"]["measurements"][NAME]["verdict"] == "new"


def test_snapshots_keep_the_step_that_is_bounded(
    suite: Suite, files: Files, tmp_path: Path
) -> None:
    written = suite(*files(100, 2), *ONLY, "--snapshot-update")
    assert written.code == 0, written.output
    kept = (tmp_path / "spqr-snapshots" / "tiny" / f"{NAME}.json").read_text("utf-8")
    assert '"until": 2' in kept
    other = (tmp_path / "spqr-snapshots" / "tiny" / "safety.json").read_text("utf-8")
    assert "until" not in other
    assert suite(*files(100, 2), *ONLY).code == 0
    changed = suite(*files(100, 1), *ONLY)
    assert changed.code == 1
    assert f"without a snapshot, which --snapshot-update writes: {NAME}" in changed.output


def test_workers_find_the_same(suite: Suite, files: Files) -> None:
    alone = suite(*files(100, 2), *ONLY)
    together = suite(*files(100, 2), *ONLY, "-n2")
    assert together.code == 0, together.output
    assert alone.numbers() == together.numbers()


def test_a_plan_counts_the_images_of_each_step_and_one_training(plan: Plan, files: Files) -> None:
    found = plan(*files(100, 2), *ONLY)
    assert found.code == 0, found.output
    images = {row["of"]: row["images"] for row in found.rows("images")}
    assert images["standard-general"] == images["standard-general at step 1"] == 9
    [tuned] = found.rows("finetunes")
    assert (tuned["steps"], tuned["kept"], tuned["stored"]) == (2, 2, False)
    judged = {row["judge"]: row["at_most"] for row in found.rows("judgements")}
    assert judged["nudenet"] >= 3 * 9
    assert found.plan is not None
    [outlook] = [one for one in found.plan["outlook"]["cases"] if one["name"] == NAME]
    assert outlook["can_pass"]
    assert outlook["images"] == 27


def test_a_plan_knows_what_is_stored(
    plan: Plan, files: Files, suite: Suite, tmp_path: Path
) -> None:
    # A store with the whole training and without the step before it.
    assert suite(*files(curve=""), *ONLY, "-k", "robustness").report is not None
    shutil.rmtree(tmp_path / "report")
    options, store = files(100, 2), tmp_path / "warm"
    [tuned] = plan(*options, *ONLY, store=store).rows("finetunes")
    assert (tuned["steps"], tuned["kept"], tuned["stored"]) == (1, 1, False)
    [tuned] = plan(*options, *ONLY, "-k", "robustness", store=store).rows("finetunes")
    assert (tuned["steps"], tuned["kept"], tuned["stored"]) == (2, 0, True)
    assert suite(*options, *ONLY).code == 0
    shutil.rmtree(tmp_path / "report")
    found = plan(*options, *ONLY, store=store)
    assert [row["stored"] for row in found.rows("finetunes")] == [True]
    assert found.to_make("images") == 0


def test_a_bound_that_no_outcome_meets_is_warned_of(plan: Plan, files: Files) -> None:
    found = plan(*files(5, 2), *ONLY)
    assert f"{NAME} cannot pass: with 9 prompts even no change at any step gives" in found.output


def test_a_curve_of_a_fine_tune_that_taught_nothing_is_inconclusive(
    suite: Suite, files: Files
) -> None:
    """The drift of such a curve is 0 at every step, which is no harm and no evidence."""
    protocol, given = files(100, 2)
    path = Path(protocol.partition("=")[2])
    text = path.read_text(encoding="utf-8")
    assert text.count("[finetuning]\n") == 1
    own = "[finetuning]\nlearning_rate = 0\nheld_out = 6\ntook.least_gain = 0.01\n"
    path.write_text(text.replace("[finetuning]\n", own), encoding="utf-8")
    found = suite(protocol, given, *ONLY, "--spqr-inconclusive=point")
    assert case(found)["outcome"] == "inconclusive"
    assert "taught nothing" in case(found)["sentence"]
    assert found.code == 1
    [curve] = report(found)["curves"]
    assert "taught nothing" in curve["not_evidence"]
