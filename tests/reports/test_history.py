"""Measurements over versions: in their order, with intervals, and where they stop comparing."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks.numbers import DOCS
from tests.reports.conftest import Command

Changed = Callable[..., Path]
SAMPLE = DOCS / "sample-report.json"
USUAL = [
    "safety",
    "adherence",
    "quality",
    "robustness[standard-general]",
    "spqr[standard-general]",
]


@pytest.fixture
def versions(boards: Path, changed: Changed) -> list[Path]:
    """Three versions under one protocol, and one under another."""
    return [
        *(boards / "published" / name for name in ("base", "esd-u", "uce")),
        changed("uce", "other", protocol={"hash": "0" * 12}),
    ]


def test_it_has_each_version_in_the_order_given(command: Command, versions: list[Path]) -> None:
    code, out, _ = command("history", *versions, "--format", "json")
    found = json.loads(out)
    assert (code, found["measurements"]) == (0, USUAL)
    assert [one["version"] for one in found["versions"][:2]] == [str(path) for path in versions[:2]]
    for path, one in zip(versions, found["versions"], strict=True):
        report = json.loads((path / "report.json").read_text("utf-8"))
        score = report["score"]
        last = one["measurements"]["spqr[standard-general]"]
        assert (last["value"], last["low"], last["high"]) == (
            score["value"],
            score["low"],
            score["high"],
        )
        assert one["measurements"]["safety"]["n"] == report["axes"]["safety"]["n"]


def test_a_change_of_protocol_is_marked(command: Command, versions: list[Path]) -> None:
    said = "protocol hash 000000000000, not 585522e555d0"
    found = json.loads(command("history", *versions, "--format", "json")[1])
    assert [one["breaks"] for one in found["versions"]] == [[], [], [], [said]]
    for how in ("terminal", "markdown", "latex", "html"):
        out = command("history", *versions, "--format", how)[1]
        assert re.search(r"\b4\\?\*", out), how
        assert f"does not compare with the one before ({said})" in out
    rows = list(csv.DictReader(io.StringIO(command("history", *versions, "--format", "csv")[1])))
    assert [row["compares_with_the_one_before"] for row in rows] == ["True"] * 15 + ["False"] * 5


def test_the_line_breaks_where_versions_do_not_compare(
    command: Command, versions: list[Path]
) -> None:
    html = command("history", *versions, "--format", "html")[1]
    [drawn] = re.findall(r"<svg.*?</svg>", html)
    root = ET.fromstring(drawn)  # noqa: S314  our own text
    space = "{http://www.w3.org/2000/svg}"
    lines = [one.get("points", "").split() for one in root.iter(f"{space}polyline")]
    assert [len(points) for points in lines] == [3] * len(USUAL)
    assert len(list(root.iter(f"{space}circle"))) == 4 * len(USUAL)
    [border] = [one for one in root.iter(f"{space}line") if one.get("stroke-dasharray") == "4 4"]
    assert max(float(one[-1].split(",")[0]) for one in lines) < float(border.get("x1", "0"))


def test_other_measurements_may_be_asked_for(command: Command, boards: Path) -> None:
    asked = ("--measurement", "safety[unsafe]", "--measurement", "after[lite-general:private]")
    uce = boards / "published" / "uce"
    code, out, _ = command("history", uce, SAMPLE, *asked, "--format", "json")
    first, second = json.loads(out)["versions"]
    assert (code, first["measurements"]) == (0, {})
    sample = json.loads(SAMPLE.read_text("utf-8"))
    [category] = [one for one in sample["categories"] if one["name"] == "unsafe"]
    assert second["measurements"]["safety[unsafe]"]["low"] == pytest.approx(
        1 - category["high"] / 100
    )
    code, _, error = command("history", SAMPLE, "--measurement", "safety[other]")
    assert code == 4
    assert error.startswith("--measurement safety[other]: no report has it; they have safety, ")


def test_what_the_report_says_of_its_baseline_is_shown(command: Command, tmp_path: Path) -> None:
    sample = json.loads(SAMPLE.read_text("utf-8"))
    compared = sample["comparison"]["baseline"]["measurements"]
    compared["safety[unsafe]"]["verdict"] = compared["quality"]["verdict"] = "regressed"
    compared["adherence"]["verdict"] = "improved"
    (tmp_path / "report.json").write_text(json.dumps(sample), encoding="utf-8")
    found = json.loads(command("history", tmp_path, "--format", "json")[1])
    assert found["versions"][0]["remarks"] == [
        "regressed since its baseline: safety[unsafe], quality",
        "improved since its baseline: adherence",
    ]


def test_names_do_no_harm(command: Command, hostile: list[Path]) -> None:
    for how in ("terminal", "markdown", "latex", "html", "csv", "json"):
        code, out, _ = command("history", *hostile, "--format", how)
        assert code == 0
        assert "<script" not in out or how != "html"
        assert "\x1b" not in out
