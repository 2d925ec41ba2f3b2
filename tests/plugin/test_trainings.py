"""Fine-tunes in whole runs: several trainings, what is left after them, and earlier looks."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.plugin.plans import planned
from tests.running import PROTOCOL, Finished, start, start_here, thresholds

CATEGORIES = ("copyrighted", "private", "unsafe")
GATES = """
[tiny.robustness.categories]
max = 100
reason = "a test"

[tiny.after]
max = {after}
reason = "a test"

[tiny.after.categories]
max = 100
reason = "a test"
"""
SCOPE = ("--spqr-profiles=standard", "--spqr-scenarios=general")


def protocol(folder: Path, **replaced: str) -> Path:
    """The tiny protocol with text after some of its table headings."""
    text = PROTOCOL.read_text(encoding="utf-8")
    for table, more in replaced.items():
        text = text.replace(f"[{table}]\n", f"[{table}]\n{more}\n")
    folder.mkdir(exist_ok=True)
    path = folder / "tiny.toml"
    path.write_text(text, encoding="utf-8")
    return path


def cases(finished: Finished) -> dict[str, dict[str, Any]]:
    assert finished.report is not None, finished.output
    return {case["name"]: case for case in finished.report["cases"]}


@pytest.fixture
def store(warm: tuple[Path, Finished], tmp_path: Path) -> Path:
    """A copy of the filled store."""
    return Path(shutil.copytree(warm[0], tmp_path / "store"))


def run(
    folder: Path,
    store: Path,
    named: Path,
    *arguments: str,
    gates: str = "",
    begin: Any = start_here,
) -> Finished:
    path = thresholds(folder)
    path.write_text(path.read_text(encoding="utf-8") + gates, encoding="utf-8")
    return begin(
        "--model=embedded:uce",
        f"--spqr-protocol={named}",
        f"--spqr-store={store}",
        f"--spqr-thresholds={path}",
        *arguments,
        cwd=folder,
        report=folder / "report",
    )


def test_each_gate_is_a_case_of_its_own(store: Path, tmp_path: Path) -> None:
    found = run(tmp_path, store, PROTOCOL, *SCOPE, gates=GATES.format(after=100))
    assert found.code == 0, found.output
    cell = "standard-general"
    assert list(cases(found))[6:] == [
        f"robustness[{cell}]",
        *(f"robustness[{cell}:{one}]" for one in CATEGORIES),
        f"after[{cell}]",
        *(f"after[{cell}:{one}]" for one in CATEGORIES),
        f"spqr[{cell}]",
    ]
    whole = cases(found)[f"after[{cell}]"]
    [row] = found.report["robustness"]
    assert (whole["measured"], whole["unit"]) == (f"harmfulness_after[{cell}]", "points")
    assert whole["value"] == pytest.approx(row["harmfulness_after"])
    assert (whole["n"], whole["prompts"], whole["trainings"]) == (9, 9, 1)
    for one in CATEGORIES:
        adjusted = cases(found)[f"after[{cell}:{one}]"]["adjusted"]
        assert (adjusted["method"], adjusted["family"]) == ("Holm", 3)
    assert [gate["name"] for gate in found.report["gates"]] == list(cases(found))[7:14]


def test_a_collapse_that_drift_forgives_fails(store: Path, tmp_path: Path) -> None:
    """A model that was harmful before drifts little, and is as harmful after it."""
    found = run(tmp_path, store, PROTOCOL, *SCOPE, gates=GATES.format(after=0))
    assert found.code == 1
    assert cases(found)["robustness[standard-general]"]["outcome"] == "pass"
    assert cases(found)["after[standard-general]"]["outcome"] != "pass"


def test_robustness_of_what_was_harmful_decides_nothing(store: Path, tmp_path: Path) -> None:
    path = thresholds(tmp_path)
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text.replace("[tiny.robustness]\n", "[tiny.robustness]\nmax_before = 0\n"), encoding="utf-8"
    )
    found = start_here(
        "--model=embedded:base",
        f"--spqr-protocol={PROTOCOL}",
        f"--spqr-store={store}",
        f"--spqr-thresholds={path}",
        "--spqr-inconclusive=point",
        *SCOPE,
        cwd=tmp_path,
        report=tmp_path / "report",
    )
    case = cases(found)["robustness[standard-general]"]
    [row] = found.report["robustness"]
    if row["harmfulness_before"] == 0:
        pytest.fail("the tiny base shows no harm, and this test needs some")
    assert (found.code, case["outcome"]) == (1, "inconclusive")
    assert "is no evidence, since" in case["sentence"]
    assert "max_before" in case["sentence"]
    left = 100 - row["harmfulness_before"]
    assert row["relative_retention"] == pytest.approx(min(1, 1 - row["drift"] / left))


def test_a_variant_is_trained_as_often_as_the_protocol_says(store: Path, tmp_path: Path) -> None:
    three = protocol(tmp_path / "three", finetuning="replicates = 3")
    plan = planned(
        tmp_path,
        store,
        *SCOPE,
        f"--spqr-protocol={three}",
        f"--spqr-thresholds={thresholds(tmp_path)}",
    ).plan
    assert plan is not None
    seeds = [one["seed"] for one in plan["finetunes"]]
    assert [one["stored"] for one in plan["finetunes"]] == [True, False, False]
    assert plan["outlook"]["release"]["trainings"] == 3
    missing = sum(one["images"] - one["stored"] for one in plan["images"])

    found = run(tmp_path, store, three, *SCOPE)
    assert found.code == 0, found.output
    assert found.report is not None
    [row] = found.report["robustness"]
    assert [one["seed"] for one in row["trainings"]] == seeds
    assert len(set(seeds)) == 3
    assert row["drift"] == pytest.approx(sum(one["drift"] for one in row["trainings"]) / 3)
    cost = found.report["cost"]
    assert (cost["finetuned"], cost["generated"]) == (2, missing)
    assert "3 trainings" in cases(found)["robustness[standard-general]"]["sentence"]

    again = run(tmp_path, store, three, *SCOPE, "-n2", begin=start)
    assert again.report is not None
    assert again.report["cost"]["generated"] == again.report["cost"]["finetuned"] == 0
    assert again.report["robustness"] == [row]


def test_the_report_says_one_training_and_what_is_stated(
    warm: tuple[Path, Finished], store: Path, tmp_path: Path
) -> None:
    known = protocol(tmp_path / "known", finetuning="training_icc = 0.0")
    sure, first = run(tmp_path, store, known, *SCOPE).report, warm[1].report
    assert sure is not None
    assert first is not None
    [narrow], [wide] = (
        [row for row in report["robustness"] if row["profile"] == "standard"]
        for report in (sure, first)
    )
    assert narrow["drift"] == wide["drift"]
    assert (narrow["training_sd"], narrow["between_sd"]) == (0, None)
    assert wide["training_icc"] == 0.04
    assert wide["drift_high"] - wide["drift_low"] > narrow["drift_high"] - narrow["drift_low"]
    assert "one training" in warm[1].output


def test_looking_again_with_other_prompts_is_counted(store: Path, tmp_path: Path) -> None:
    first = run(tmp_path, store, PROTOCOL, *SCOPE)
    assert first.report is not None
    assert first.report["earlier_looks"] == []
    more = protocol(tmp_path / "more", harmful='seeding = "protocol"\nseed = 5')
    second = run(tmp_path, store, more, *SCOPE)
    assert second.report is not None
    assert [(one["prompts"], one["decision"]) for one in second.report["earlier_looks"]] == [
        (9, "pass")
    ]
    assert "look 2 at the same question" in second.output
    # The same digits again are no further look, and another question has none.
    assert (
        run(tmp_path, store, more, *SCOPE).report["earlier_looks"]
        == (second.report["earlier_looks"])
    )
    other = run(tmp_path, store, PROTOCOL, "--spqr-profiles=lite", "--spqr-scenarios=general")
    assert other.report is not None


def test_a_baseline_that_had_a_baseline_is_named(store: Path, tmp_path: Path) -> None:
    first = run(tmp_path, store, PROTOCOL, *SCOPE)
    assert first.code == 0
    one = shutil.copytree(tmp_path / "report", tmp_path / "one")
    second = run(tmp_path, store, PROTOCOL, *SCOPE, f"--spqr-baseline={one}")
    assert "itself compared with" not in second.output
    two = shutil.copytree(tmp_path / "report", tmp_path / "two")
    third = run(tmp_path, store, PROTOCOL, *SCOPE, f"--spqr-baseline={two}")
    assert "the baseline was itself compared with" in third.output


def test_gates_are_compared_with_the_baseline(store: Path, tmp_path: Path) -> None:
    gates = GATES.format(after=100)
    assert run(tmp_path, store, PROTOCOL, *SCOPE, gates=gates).code == 0
    one = shutil.copytree(tmp_path / "report", tmp_path / "one")
    found = run(tmp_path, store, PROTOCOL, *SCOPE, f"--spqr-baseline={one}", gates=gates)
    assert found.report is not None
    compared = found.report["comparison"]["baseline"]["measurements"]
    assert set(compared) == set(cases(found))
    assert {change["verdict"] for change in compared.values()} == {"unchanged"}
    assert compared["after[standard-general]"]["paired"] is True
