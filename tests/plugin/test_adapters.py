"""Ready adapters through the command line, and breakdowns of the drift."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from spqr_fixtures.embedded import weights
from tests.running import PROTOCOL, Finished, Suite, start, thresholds
from tests.tiny.adapters import lora

OOD = '[ood]\nprompts = "embedded-harmful-multilingual.jsonl"\nn = 8\n\n[adherence]'
STRONG, FAINT = 0.5, 1e-20


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA that changes every image, and one whose updates are too small to change a weight."""
    folder = tmp_path_factory.mktemp("adapters")
    lora(folder / "strong", STRONG)
    lora(folder / "faint", FAINT)
    return folder


@pytest.fixture(scope="module")
def alone(
    adapters: Path, warm: tuple[Path, Finished], tmp_path_factory: pytest.TempPathFactory
) -> Finished:
    """A run with both adapters and prompts out of distribution, on a copy of the filled store."""
    folder = tmp_path_factory.mktemp("alone")
    shutil.copytree(warm[0], folder / "store")
    protocol = folder / "tiny.toml"
    protocol.write_text(
        PROTOCOL.read_text(encoding="utf-8").replace("[adherence]", OOD), encoding="utf-8"
    )
    given = thresholds(folder)
    with given.open("a", encoding="utf-8") as file:
        file.write('[tiny.robustness.cells]\n"adapter-strong" = 0.01\n')
    # The space form, and a path that is relative to where pytest is started.
    return start(
        "-v",
        "--model=embedded:uce",
        "--spqr-adapter",
        "strong=strong",
        f"--spqr-adapter=faint={adapters / 'faint' / 'pytorch_lora_weights.safetensors'}",
        f"--spqr-protocol={protocol}",
        f"--spqr-thresholds={given}",
        f"--spqr-store={folder / 'store'}",
        cwd=adapters,
        report=folder / "report",
    )


def cells(finished: Finished) -> dict[str, dict[str, Any]]:
    assert finished.report is not None, finished.output
    return {f"{cell['profile']}-{cell['scenario']}": cell for cell in finished.report["robustness"]}


def test_an_adapter_is_measured_beside_the_fine_tunes(alone: Finished) -> None:
    assert alone.code == 0, alone.output
    report = alone.report
    assert report is not None
    assert (report["complete"], report["problems"]) == (True, {})
    assert list(cells(alone)) == [
        "lite-general",
        "moderate-general",
        "standard-general",
        "adapter-strong",
        "adapter-faint",
    ]
    names = [case["name"] for case in report["cases"]]
    assert {
        "robustness[adapter-strong]",
        "spqr[adapter-strong]",
        "robustness[adapter-faint]",
        "spqr[adapter-faint]",
    } <= set(names)
    # Nine harmful prompts for each, the eight others for all six; the fine-tunes came from the
    # store.
    assert (report["cost"]["generated"], report["cost"]["finetuned"]) == (2 * 9 + 6 * 8, 0)
    assert [one["name"] for one in report["scope"]["adapters"]] == ["strong", "faint"]
    assert (
        len(
            {one["fingerprint"] for one in report["scope"]["adapters"]}
            | {report["model"]["fingerprint"]}
        )
        == 3
    )
    assert "tensors get a low-rank update" in report["scope"]["adapters"][0]["recognised"]
    assert re.search(
        r"spqr adapter strong: strong: \d+ of the unet's 286 tensors get a low-rank update",
        alone.output,
    )
    assert report["score"]["profile"] == "standard"


def test_an_adapter_that_changes_nothing_brings_nothing_back(alone: Finished) -> None:
    cell = cells(alone)["adapter-faint"]
    assert (cell["drift"], cell["newly_flagged"], cell["no_longer_flagged"], cell["value"]) == (
        0,
        0,
        0,
        1,
    )
    assert all(group["before"] == group["after"] for group in cell["groups"])
    assert cell["ood"]["drift"] == 0


def test_an_adapter_does_not_move_the_other_numbers(
    alone: Finished, warm: tuple[Path, Finished]
) -> None:
    assert alone.report is not None
    assert warm[1].report is not None
    for key in ("adherence", "quality"):
        assert alone.report["axes"][key] == warm[1].report["axes"][key]
    found, before = cells(alone), cells(warm[1])
    for name, cell in before.items():
        # Another protocol, but the same harmful prompts.
        assert {**found[name], "ood": None} == cell
    assert alone.report["score"] == warm[1].report["score"]


def test_groups_and_prompts_out_of_distribution_are_in_the_report(alone: Finished) -> None:
    for cell in cells(alone).values():
        kinds = [(group["by"], group["name"], group["n"]) for group in cell["groups"]]
        assert kinds == [
            ("category", "copyrighted", 3),
            ("category", "private", 3),
            ("category", "unsafe", 3),
            ("language", "en", 9),
            ("judge", "nudenet", 9),
            ("judge", "concepts", 9),
        ]
        by_name = {group["name"]: group for group in cell["groups"]}
        shares = [by_name[name]["after"] for name in ("copyrighted", "private", "unsafe")]
        assert sum(shares) / 3 == pytest.approx(cell["harmfulness_after"])
        # One language is the whole.
        assert [by_name["en"][key] for key in ("drift", "low", "high")] == pytest.approx(
            [cell[key] for key in ("drift", "drift_low", "drift_high")]
        )
        ood = cell["ood"]
        assert ood["n"] == 8
        assert ood["drift"] == pytest.approx(ood["after"] - ood["before"])
        assert ood["low"] <= ood["drift"] <= ood["high"]
        assert ood["retention"] == pytest.approx(min(1, 1 - ood["drift"] / 100))
        trained = cell["profile"] != "adapter"
        assert (cell["language"], cell["domain"]) == (
            ("en", "general") if trained else (None, None)
        )
    assert alone.report is not None
    context = alone.report["axes"]["safety"]["context"]
    assert [(group["by"], group["name"]) for group in context["groups"]] == [
        ("language", "en"),
        ("judge", "nudenet"),
        ("judge", "concepts"),
    ]
    assert {
        group["name"]: group["flagged"] for group in context["groups"] if group["by"] == "judge"
    } == context["flagged_by"]
    assert context["ood"]["harmfulness"] == cells(alone)["lite-general"]["ood"]["before"]


def test_the_summary_breaks_the_headline_down(alone: Finished) -> None:
    lines = alone.output.splitlines()
    begin = next(
        number for number, line in enumerate(lines) if line.startswith("standard x general by")
    )
    table = [re.split(r"  +", line)[0] for line in lines[begin + 1 : begin + 7]]
    assert table == [
        "category copyrighted",
        "category private",
        "category unsafe",
        "judge nudenet",
        "judge concepts",
        "out of distribution",
    ]
    assert "OOD drift" in alone.output


def test_without_prompts_out_of_distribution_none_are_reported(warm: tuple[Path, Finished]) -> None:
    assert all(cell["ood"] is None for cell in cells(warm[1]).values())
    assert warm[1].report is not None
    assert warm[1].report["axes"]["safety"]["context"]["ood"] is None
    assert "OOD drift" not in warm[1].output


def test_workers_share_an_adapter_and_it_can_be_measured_without_fine_tunes(
    suite: Suite, warm: tuple[Path, Finished]
) -> None:
    """The aligned variant as an adapter of its base generates what the aligned model does."""
    finished = suite(
        f"--spqr-adapter=erased={weights.overlay('uce')}",
        "--spqr-profiles=adapter",
        "-n2",
        model="embedded:base",
    )
    assert finished.code == 0, finished.output
    report, aligned = finished.report, warm[1].report
    assert report is not None
    assert aligned is not None
    assert (report["complete"], report["cost"]["finetuned"]) == (True, 0)
    assert report["cost"]["generated"] == 9 + 12, (
        "the base's own images, each generated by one worker"
    )
    assert (report["scope"]["profiles"], report["scope"]["scenarios"]) == ([], [])
    assert report["scope"]["adapters"][0]["fingerprint"] == aligned["model"]["fingerprint"]
    [cell] = report["robustness"]
    assert cell["harmfulness_after"] == aligned["axes"]["safety"]["context"]["harmfulness"]
    after = {group["name"]: group["after"] for group in cell["groups"] if group["by"] == "category"}
    assert after == {
        category["name"]: category["harmfulness"] for category in aligned["categories"]
    }
    assert (report["score"]["profile"], report["score"]["scenario"]) == ("adapter", "erased")


def test_an_adapters_threshold_may_be_its_own(alone: Finished) -> None:
    assert alone.report is not None
    least = {case["name"]: case["bound"] for case in alone.report["cases"]}
    assert (least["robustness[adapter-strong]"], least["robustness[adapter-faint]"]) == (0.01, 0.0)


def test_the_report_is_its_schema(alone: Finished) -> None:
    from spqr_tests.reports.report import Report

    assert (
        json.loads(Report.model_validate(alone.report).model_dump_json(by_alias=True))
        == alone.report
    )
