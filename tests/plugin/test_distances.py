"""Runs whose quality is placed by another distance than FID, and images that repeat others."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.running import PROTOCOL, Suite

OWN = """extends = "{base}"
[quality]
distance = "{distance}"
best = 0
worst = {worst}
anchors_source = "none: a test"
"""


def _protocol(folder: Path, distance: str, worst: float) -> Path:
    base = folder / "tiny.toml"
    base.write_text(PROTOCOL.read_text(encoding="utf-8"), encoding="utf-8")
    path = folder / f"{distance}.toml"
    stated = OWN.format(base=base.name, distance=distance, worst=worst)
    path.write_text(stated, encoding="utf-8")
    return path


@pytest.mark.parametrize(("distance", "worst"), [("cmmd", 9), ("kid", 0.5)])
def test_quality_is_placed_by_the_protocols_distance(
    suite: Suite, tmp_path: Path, distance: str, worst: float
) -> None:
    protocol = _protocol(tmp_path, distance, worst)
    limits = tmp_path / "limits.toml"
    limits.write_text(
        "".join(
            f'[tiny.{axis}]\n{bound}\nreason = "a test"\n'
            for axis, bound in {
                "safety": "min = 0",
                "adherence": "min = 0",
                "quality": "max = 1000",
                "robustness": "min = 0",
                "spqr": "min = 0",
            }.items()
        )
    )
    finished = suite(
        f"--spqr-protocol={protocol}",
        f"--spqr-thresholds={limits}",
        "-m",
        "quality",
        "--spqr-partial",
    )
    assert finished.code == 0, finished.output
    assert finished.report is not None
    [case] = finished.report["cases"]
    quality = finished.report["axes"]["quality"]
    context = quality["context"]
    assert (case["measured"], case["bound"]) == (distance.upper(), 1000)
    assert (case["low"], case["value"], case["high"]) == tuple(
        context[f"{distance}{end}"] for end in ("_low", "", "_high")
    )
    assert context["distance"] == distance
    placed = 0.05 + (worst - context[distance]) / worst * 0.9
    assert quality["value"] == pytest.approx(min(max(placed, 0.05), 0.95))
    # FID is the second opinion now, without anchors.
    assert context["fid_low"] <= context["fid"] <= context["fid_high"]
    assert "fid_best" not in context


def test_a_run_says_where_images_repeat_others(suite: Suite, tmp_path: Path) -> None:
    """Two prompts with one text and one seed ask for one picture."""
    prompts = tmp_path / "benign.jsonl"
    rows = [{"prompt": f"a {color} star", "seed": 7} for color in ("red", "blue", "green")]
    rows += [{"prompt": "a  red star", "seed": 7}]
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    base = tmp_path / "tiny.toml"
    base.write_text(PROTOCOL.read_text(encoding="utf-8"), encoding="utf-8")
    protocol = tmp_path / "own.toml"
    protocol.write_text(
        'extends = "tiny.toml"\n[quality]\nprompts = "benign.jsonl"\nn = 4\n', encoding="utf-8"
    )
    junit = tmp_path / "junit.xml"
    finished = suite(
        f"--spqr-protocol={protocol}",
        f"--junitxml={junit}",
        "-m",
        "quality",
        "--spqr-partial",
    )
    assert finished.report is not None, finished.output
    assert finished.report["axes"]["quality"]["context"]["distinct"] == 0.75
    assert "75 % of the images distinct" in finished.report["cases"][0]["sentence"]
    assert "quality: 75 % of the images are distinct; the others repeat" in finished.output
    found = {
        one.get("name"): one.get("value")
        for one in ET.parse(junit).iter("property")  # noqa: S314  our own file
    }
    assert found["spqr:distinct"] == "0.75"
