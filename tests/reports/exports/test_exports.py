"""One report for other viewers, read by their own parsers and by their schemas."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import huggingface_hub
import jsonschema
import pytest
import yaml
from huggingface_hub import ModelCard

from benchmarks.numbers import DOCS
from tests.reports.conftest import HOSTILE, Command

Changed = Callable[..., Path]
SAMPLE = DOCS / "sample-report.json"
EVERY_EVAL_EVER = {
    version: jsonschema.Draft7Validator(
        json.loads(
            (Path(__file__).parent / "every_eval_ever" / f"eval.schema-{version}.json").read_text(
                "utf-8"
            )
        )
    )
    for version in ("0.2.2", "0.3.0")
}
SVG = "{http://www.w3.org/2000/svg}"
AXES = ["spqr", "safety", "adherence", "quality", "robustness"]


@pytest.fixture
def sample() -> Any:
    return json.loads(SAMPLE.read_text("utf-8"))


@pytest.fixture
def export(command: Command) -> Callable[..., str]:
    def run(how: str, report: Path, *more: str) -> str:
        code, out, error = command("export", report, "--format", how, *more)
        assert (code, error) == (0, "")
        return out

    return run


Export = Callable[..., str]


def _luminance(colour: str) -> float:
    """Relative luminance of #rrggbb or #rgb, by WCAG 2."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * one for one in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (
        one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4 for one in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(
    ("variant", "change", "said"),
    [
        ("uce", {}, "0.969 pass"),
        ("esd-u", {}, "0.889 inconclusive"),
        ("base", {}, "0.107 fail"),
        ("uce", {"complete": False, "missing": ["quality"]}, "0.969 pass (partial)"),
        ("uce", {"protocol": {"release": False}}, "0.969 pass (quick look)"),
        ("uce", {"problems": {"a test": "broke"}, "complete": False}, "broken"),
        ("base", {"complete": False, "score": None}, "fail (partial)"),
    ],
)
def test_a_badge_says_the_score_and_the_decision(
    export: Export, changed: Changed, variant: str, change: dict[str, Any], said: str
) -> None:
    folder = changed(variant, **change)
    root = ET.fromstring(export("badge", folder))  # noqa: S314  our own text
    texts = [one.text for one in root.iter(f"{SVG}text")]
    title = root.find(f"{SVG}title")
    assert (texts, title is not None and title.text) == (["SPQR", said], f"SPQR: {said}")
    fills = {one.get("fill", "") for one in root.iter(f"{SVG}rect")} - {""}
    assert all(1.05 / (_luminance(fill) + 0.05) >= 4.5 for fill in fills)
    shields = json.loads(export("shields", folder))
    assert shields.keys() == {"schemaVersion", "label", "message", "color"}
    assert (shields["schemaVersion"], shields["message"]) == (1, said)
    # Green is for a pass of a whole release alone.
    assert (shields["color"] == "#2a7e3b") == (said == "0.969 pass")
    assert shields["color"] in fills


def test_every_eval_ever_has_every_measurement(export: Export, sample: Any) -> None:
    out = export("every-eval-ever", SAMPLE, "--organization", "Us", "--model-id", "us/model")
    record = json.loads(out)
    for reader in EVERY_EVAL_EVER.values():
        reader.validate(record)
    assert (record["schema_version"], record["model_info"]["id"]) == ("0.3.0", "us/model")
    results = {one["evaluation_name"]: one for one in record["evaluation_results"]}
    assert set(results) == {case["name"] for case in sample["cases"]}
    safety, axis = results["safety"], sample["axes"]["safety"]
    assert safety["score_details"]["score"] == axis["value"]
    assert safety["score_details"]["uncertainty"] == {
        "confidence_interval": {
            "lower": axis["low"],
            "upper": axis["high"],
            "confidence_level": axis["confidence"],
            "method": axis["method"],
        },
        "num_samples": axis["n"],
    }
    for one in results.values():
        interval = one["score_details"]["uncertainty"]["confidence_interval"]
        assert 0 <= interval["lower"] <= one["score_details"]["score"] <= interval["upper"] <= 1
        assert one["score_details"]["details"]["outcome"] in ("pass", "fail", "inconclusive")


@pytest.mark.parametrize("version", EVERY_EVAL_EVER)
def test_the_schema_finds_what_is_wrong(export: Export, version: str) -> None:
    """A schema that accepts anything would show nothing."""
    record = json.loads(export("every-eval-ever", SAMPLE, "--organization", "Us"))
    reader = EVERY_EVAL_EVER[version]
    result = record["evaluation_results"][0]
    for wrong in (
        record | {"more": 1},
        record | {"retrieved_timestamp": 1},
        {name: value for name, value in record.items() if name != "model_info"},
        record | {"evaluation_results": [result | {"score_details": {"score": "1"}}]},
        record | {"evaluation_results": [result | {"source_data": {"source_type": "other"}}]},
        record | {"evaluation_results": [result | {"metric_config": {"score_type": "continuous"}}]},
    ):
        assert not reader.is_valid(wrong)


@pytest.mark.skipif(
    not hasattr(huggingface_hub, "parse_eval_result_entries"),
    reason="this huggingface_hub is older than .eval_results",
)
def test_the_hub_reads_its_entries(export: Export, sample: Any) -> None:
    text = export("hugging-face", SAMPLE, "--dataset", "us/spqr", "--url", "https://a.b/run")
    entries = huggingface_hub.parse_eval_result_entries(yaml.safe_load(text))
    assert [one.task_id for one in entries] == AXES
    assert {one.dataset_id for one in entries} == {"us/spqr"}
    assert [one.value for one in entries[:2]] == [
        sample["score"]["value"],
        sample["axes"]["safety"]["value"],
    ]
    assert {(one.source_url, one.source_name) for one in entries} == {
        ("https://a.b/run", "spqr-tests 0.1.0")
    }
    assert str(entries[0].notes).startswith("95 % interval 0.798 to 0.941, n = 240; fine-tuned by")
    again = huggingface_hub.eval_result_entries_to_yaml(entries)
    assert again == yaml.safe_load(text)


def test_the_hub_reads_its_model_card(export: Export, sample: Any) -> None:
    card = ModelCard(export("model-card", SAMPLE, "--model-id", "us/model"))
    assert card.data.model_name == "us/model"
    results = card.data.eval_results
    assert results is not None
    assert [one.metric_type for one in results] == AXES
    assert [one.metric_value for one in results[:2]] == [
        sample["score"]["value"],
        sample["axes"]["safety"]["value"],
    ]
    assert results[0].metric_name == "SPQR (95 % interval 0.798 to 0.941)"
    assert (results[0].task_type, results[0].dataset_type) == ("text-to-image", "spqr")
    assert results[0].dataset_revision == sample["protocol"]["hash"]
    assert "| SPQR | 0.889 (0.798 to 0.941) | 240 | inconclusive |" in card.text
    assert str(ModelCard(str(card)).data) == str(card.data)


def test_a_part_of_the_axes_is_exported_as_that(export: Export, changed: Changed) -> None:
    folder = changed("uce", score=None, robustness=[], complete=False, axes={"quality": None})
    entries = yaml.safe_load(export("hugging-face", folder, "--dataset", "us/spqr"))
    assert [one["dataset"]["task_id"] for one in entries] == ["safety", "adherence"]
    assert entries[0]["notes"].endswith("run pass, partial")
    assert "Decision: pass (partial)" in export("model-card", folder)


def test_names_do_no_harm(export: Export, hostile: list[Path]) -> None:
    for path, name in zip(hostile, HOSTILE.values(), strict=True):
        ET.fromstring(export("badge", path))  # noqa: S314  our own text
        out = export("every-eval-ever", path, "--organization", name or "x")
        record = json.loads(out)
        EVERY_EVAL_EVER["0.3.0"].validate(record)
        assert record["model_info"]["name"] == name
        text = export("model-card", path)
        assert not {"\x1b", "\x9b", "\u202e", "\x00"} & set(text + out)
        assert "<script" not in text.split("---")[-1]
        [index] = yaml.safe_load(text.split("---")[1])["model-index"]
        assert index["name"] == name
        entries = yaml.safe_load(export("hugging-face", path, "--dataset", "us/spqr"))
        assert name in entries[0]["notes"]


@pytest.mark.parametrize(
    ("how", "more", "said"),
    [
        ("every-eval-ever", (), "needs --organization: who measured the model."),
        ("hugging-face", (), "needs --dataset: the benchmark's id on the hub, OWNER/NAME."),
        ("hugging-face", ("--dataset", "spqr"), "--dataset spqr: expected OWNER/NAME"),
        ("hugging-face", ("--dataset", "a/b\nc"), "expected OWNER/NAME"),
    ],
)
def test_what_a_format_needs_is_asked_for(
    command: Command, how: str, more: tuple[str, ...], said: str
) -> None:
    code, out, error = command("export", SAMPLE, "--format", how, *more)
    assert (code, out) == (4, "")
    assert said in error
