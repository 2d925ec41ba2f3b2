"""images.jsonl: a row for each judged image, the same however the run was started."""

import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from spqr_tests.generation.generations import KIND
from spqr_tests.store.store import LAYOUT
from tests.plugin.test_adapters import OOD
from tests.running import PROTOCOL, Finished, Suite

STARTS = pytest.mark.parametrize("how", [("-p", "no:xdist"), ("-n2",)], ids=" ".join)


def rows(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "report" / "images.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def of(found: list[dict[str, Any]], profile: str | None) -> list[dict[str, Any]]:
    return [row for row in found if row["profile"] == profile]


@STARTS
def test_agrees_with_the_report_and_the_store(
    how: tuple[str, ...], suite: Suite, tmp_path: Path, warm: tuple[Path, Finished]
) -> None:
    report = suite(*how).report
    assert report is not None
    data = (tmp_path / "report" / "images.jsonl").read_bytes()
    found = rows(tmp_path)
    assert report["images"] == {
        "file": "images.jsonl",
        "rows": len(found),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    assert warm[1].report is not None
    assert report["images"] == warm[1].report["images"]
    own, safety = of(found, None), report["axes"]["safety"]
    assert [row["row"] for row in own] == list(range(safety["n"]))
    assert sum(row["flagged"] for row in own) == safety["context"]["flagged"]
    for judge, count in safety["context"]["flagged_by"].items():
        assert sum(row["judges"][judge]["flagged"] for row in own) == count
    for cell in report["robustness"]:
        after = of(found, cell["profile"])
        assert [row["row"] for row in after] == [row["row"] for row in own]
        pairs = [(one["flagged"], two["flagged"]) for one, two in zip(own, after, strict=True)]
        assert pairs.count((False, True)) == cell["newly_flagged"]
        assert pairs.count((True, False)) == cell["no_longer_flagged"]
        assert {(row["training"], row["domain"]) for row in after} == {(1, cell["domain"])}
    # Two judges, of whom the report says how far they agree on all these images.
    [pair] = report["agreement"]["pairs"]
    names = (pair["first"], pair["second"])
    said = Counter(tuple(row["judges"][name]["flagged"] for name in names) for row in found)
    assert [said[True, True], said[True, False], said[False, True], said[False, False]] == [
        pair[key] for key in ("both", "first_only", "second_only", "neither")
    ]
    assert report["agreement"]["images"] == len(found)
    for by_threshold in report["judge_thresholds"]:
        judge, own = by_threshold["judge"], by_threshold["threshold"]
        (curve, *tuned) = by_threshold["curves"]
        assert [(one["profile"], one["scenario"]) for one in tuned] == [
            (cell["profile"], cell["scenario"]) for cell in report["robustness"]
        ]
        (point,) = [one for one in curve["points"] if one["threshold"] == own]
        before = [row for row in found if row["profile"] is None]
        assert point["harmfulness"] == 100 * sum(row["flagged"] for row in before) / len(before)
        assert all(
            row["judges"][judge]["flagged"] == (row["judges"][judge]["score"] > own)
            for row in found
        )
    assert {one["judge"] for one in report["judge_thresholds"]} == set(names)
    for row in found:
        with Image.open(tmp_path / "warm" / row["image"]) as image:
            said = json.loads(image.info["spqr:entry"])["provenance"]
        assert said["seed"] == row["seed"]
        assert hashlib.sha256(said["prompt"].encode()).hexdigest() == row["prompt_sha256"]


def test_holds_prompts_where_they_may_be_shown(suite: Suite, tmp_path: Path) -> None:
    suite()
    assert {row["prompt"] for row in rows(tmp_path)} == {None}
    sources = [row["source"] for row in rows(tmp_path)]
    suite("--spqr-show-prompts")
    shown = rows(tmp_path)
    assert [row["source"] for row in shown] == sources
    for row in shown:
        assert hashlib.sha256(row["prompt"].encode()).hexdigest() == row["prompt_sha256"]


def test_holds_what_a_judge_saw(suite: Suite, tmp_path: Path) -> None:
    suite("--spqr-partial", "-k", "test_few_generations_of_harmful", model="embedded:base")
    seen = [
        (said, float(why["score"]))
        for row in rows(tmp_path)
        for said in row["judges"].values()
        for why in said["reasons"]
    ]
    assert seen
    assert all(0 <= score <= 1 for _, score in seen)
    judgements = [
        json.loads(path.read_text(encoding="utf-8"))["value"]
        for path in (tmp_path / "warm" / LAYOUT / "judgements").rglob("*.json")
    ]
    stored = [
        (one["flagged"], [tuple(why) for why in one["reasons"]], one["score"]) for one in judgements
    ]
    for said, _ in seen:
        why = [(one["label"], one["score"]) for one in said["reasons"]]
        assert (said["flagged"], why, said["score"]) in stored
        assert said["flagged"] == (said["score"] > 0.5)


def test_a_run_that_judges_nothing_leaves_none(suite: Suite, tmp_path: Path) -> None:
    suite()
    report = suite("--spqr-partial", "-m", "adherence").report
    assert report is not None
    assert report["images"] is None
    assert not (tmp_path / "report" / "images.jsonl").exists()


def test_a_sequential_run_has_what_it_saw(suite: Suite, tmp_path: Path) -> None:
    report = suite("--spqr-sequential").report
    assert report is not None
    own = of(rows(tmp_path), None)
    assert 0 < len(own) <= report["axes"]["safety"]["context"]["planned"]
    assert len({row["row"] for row in own}) == len(own)


def test_a_folder_in_its_place_breaks_the_run(suite: Suite, tmp_path: Path) -> None:
    (tmp_path / "report" / "images.jsonl").mkdir(parents=True)
    finished = suite()
    assert finished.code == 3
    assert finished.report is not None
    assert "images.jsonl cannot be written" in finished.report["problems"]["report"]


def test_images_that_are_gone_are_made_again(suite: Suite, tmp_path: Path) -> None:
    suite()
    before = rows(tmp_path)
    shutil.rmtree(tmp_path / "warm" / LAYOUT / KIND)
    suite()
    assert rows(tmp_path) == before


def test_has_curves_and_prompts_out_of_distribution(suite: Suite, tmp_path: Path) -> None:
    text = PROTOCOL.read_text(encoding="utf-8")
    profile = '[profiles.standard]\ntrains = "denoiser"\nsteps = 2\n'
    assert profile in text
    text = text.replace(profile, f"{profile}curve = [1, 2]\n").replace("[adherence]", OOD)
    protocol = tmp_path / "more.toml"
    protocol.write_text(text, encoding="utf-8")
    report = suite(f"--spqr-protocol={protocol}", "--spqr-profiles=standard").report
    assert report is not None
    found = rows(tmp_path)
    kinds = [(row["set"], row["profile"], row["steps"]) for row in found]
    [curve], [cell] = report["curves"], report["robustness"]
    for point in curve["points"][:-1]:
        assert kinds.count(("harmful", "standard", point["steps"])) == curve["n"]
    for profile in (None, "standard"):
        assert kinds.count(("ood", profile, None)) == cell["ood"]["n"]
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "Drift by steps: standard x general" in page
    assert "Out of distribution" in page
