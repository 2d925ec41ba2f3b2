"""The page, read by an HTML parser: it is valid, holds what the report holds, and only text."""

import base64
import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

import html5lib
import numpy as np
import pytest
from PIL import Image

from spqr_tests.reports.html import page
from spqr_tests.reports.report import Running
from tests.reports.conftest import HOSTILE
from tests.reports.html.made import Made, made, path_of, sample

Element = Any
SVG = "{http://www.w3.org/2000/svg}"


def parsed(text: str) -> Element:
    """The document; whatever the HTML standard calls an error is one here."""
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)


def words(element: Element) -> str:
    """The text of an element as it is read: spaces made one, and one between blocks."""

    def text(one: Element) -> str:
        inside = one.text or ""
        for child in one:
            if isinstance(child.tag, str) and child.tag not in ("script", "style"):
                inside += text(child)
            inside += child.tail or ""
        return inside if one.tag in ("wbr", "span", "code", "strong") else f" {inside} "

    return " ".join(text(element).split())


def data(document: Element) -> Any:
    """What the page's script reads."""
    [script] = [one for one in document.iter("script") if one.get("type") == "application/json"]
    return json.loads(script.text)


def cells(table: Element) -> list[list[str]]:
    return [[words(cell) for cell in row if cell.tag in ("th", "td")] for row in table.iter("tr")]


def without(*lists: str) -> dict[str, Any]:
    return {name: [] for name in lists}


SAMPLE = sample()
CURVE = {
    "profile": "standard",
    "scenario": "general",
    "trainings": 1,
    "n": 240,
    "before": 0.0,
    "confidence": 0.95,
    "method": "a band",
    "points": [
        {"steps": steps, "after": drift, "drift": drift, "low": drift - 5, "high": drift + 9}
        for steps, drift in ((25, 1.0), (50, 12.5), (100, 28.0))
    ],
    "first_above": [
        {
            "drift": 25.0,
            "step": 90.3,
            "earliest": 60.0,
            "latest": None,
            "last": 100,
            "sentence": "The drift exceeds 25 points from step 90 on.",
        }
    ],
    "until": 100,
    "greatest": 28.0,
    "greatest_low": 23.0,
    "greatest_high": 37.0,
}
KINDS: dict[str, dict[str, Any]] = {
    "with a curve": {"curves": [CURVE]},
    "with a flat curve": {
        "curves": [
            CURVE
            | {
                "points": [{"steps": 1, "after": 0, "drift": 0, "low": 0, "high": 0}],
                "first_above": [],
            }
        ]
    },
    "whole": {},
    "without fine-tunes": without("robustness", "gates", "curves") | {"score": None},
    "nothing measured": without("robustness", "gates", "cases", "categories", "judges")
    | {"axes": dict.fromkeys(("safety", "adherence", "quality")), "score": None, "comparison": {}},
    "partial": {"partial": True, "missing": ["safety", "quality"], "complete": False},
    "limited": {"limit": 3, "complete": False},
    "broken": {
        "problems": {"test_a": "the judge raised", "test_b": "the judge raised"},
        "exit_code": 3,
    },
    "by the estimate": {"inconclusive": "point", "sequential": True},
    "earlier": {"environment": None, "thresholds": None, "images": None},
    "adapters": {
        "robustness": [
            one | {"profile": "adapter", "scenario": "soft-light", "language": None, "domain": None}
            for one in SAMPLE["robustness"][:1]
        ],
        "scope": SAMPLE["scope"]
        | {"adapters": [{"name": "soft-light", "recognised": "a LoRA", "fingerprint": "0" * 64}]},
        "score": SAMPLE["score"] | {"profile": "adapter", "scenario": "soft-light"},
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_run_has_a_page(kind: str, tmp_path: Path) -> None:
    report = sample(**KINDS[kind])
    document = parsed(made(6, **KINDS[kind]).html(tmp_path))
    said = words(document)
    assert report["decision_sentence"] in said
    for case in report["cases"]:
        assert words(html5lib.parse(case["sentence"].replace("<", "&lt;"))) in said
    for test, reason in report["problems"].items():
        assert reason in said
        assert (test in said) == (test == "test_a")
    for name in report["missing"]:
        assert name in said
    assert (f"{report['limit']} prompts a set" in said) == (report["limit"] is not None)
    headings = [words(one) for one in document.iter("h1")]
    assert headings == [f"SPQR of {report['model']['target']}"]


def test_a_run_that_goes_on_has_a_page() -> None:
    running = Running(run="1", began="2026-01-01T00:00:00+00:00", model="<b>", protocol="p (h)")
    document = parsed(page.of_running(running))
    assert "Not finished" in words(document)
    assert [words(one) for one in document.iter("h1")] == ["SPQR of <b>"]


def test_the_axes_have_the_report_s_numbers(tmp_path: Path) -> None:
    document = parsed(Made(SAMPLE).html(tmp_path))
    first = next(document.iter("table"))
    rows = {row[0]: row[1:] for row in cells(first)}
    cases = {case["name"]: case for case in SAMPLE["cases"]}
    for title, name in (
        ("Safety before fine-tuning", "safety"),
        ("Prompt adherence before fine-tuning", "adherence"),
        ("Quality before fine-tuning", "quality"),
        ("Robustness after standard x general", "robustness[standard-general]"),
        ("SPQR standard x general", "spqr[standard-general]"),
    ):
        case = cases[name]
        sign = {"pass": "✓", "fail": "✕", "inconclusive": "?"}[case["outcome"]]
        assert rows[title] == [
            f"{sign} {case['outcome']}",
            f"{case['value']:.3f}",
            f"≥ {case['bound']:.3f}",
            "",
            f"{case['low']:.3f} to {case['high']:.3f}",
        ]


def test_plots_are_to_scale(tmp_path: Path) -> None:
    document = parsed(Made(SAMPLE).html(tmp_path))
    bars = [one for one in document.iter(f"{SVG}svg") if one.get("class") == "bar"]
    spoken = re.compile(r"(\S+): (\S+), .* interval (\S+) to (\S+), threshold \D+ (\S+)")
    checked = 0
    for bar in bars:
        match = spoken.fullmatch(bar.get("aria-label"))
        if match is None or float(match[2]) > 1 or match[1].startswith(("drift", "harm")):
            continue
        value, low, high, bound = (float(match[place]) for place in (2, 3, 4, 5))
        parts = {one.get("class"): one for one in bar}
        # From 0 at 4 to 1 at 196, as of every axis.
        found = (
            float(parts["value"].get("x")) + 1.5,
            float(parts["interval"].get("x1")),
            float(parts["interval"].get("x2")),
            float(parts["bound"].get("x1")),
        )
        expected = [4 + 192 * one for one in (value, low, high, bound)]
        assert found == pytest.approx(expected, abs=0.2)
        checked += 1
    assert checked > 10


def test_a_curve_is_drawn_through_its_points(tmp_path: Path) -> None:
    document = parsed(made(2, curves=[CURVE]).html(tmp_path))
    [lines] = [one for one in document.iter(f"{SVG}svg") if one.get("class") == "lines"]
    dots = [one for one in lines if one.get("class") == "dot"]
    drifts = [point["drift"] for point in CURVE["points"]]
    steps = [point["steps"] for point in CURVE["points"]]
    # Straight lines from values to places: the same slope between any two points.
    places = [(float(one.get("cx")), float(one.get("cy"))) for one in dots]
    [(x0, y0), (x1, y1), (x2, y2)] = places
    assert (x1 - x0) / (steps[1] - steps[0]) == pytest.approx(
        (x2 - x1) / (steps[2] - steps[1]), rel=0.01
    )
    assert (y1 - y0) / (drifts[1] - drifts[0]) == pytest.approx(
        (y2 - y1) / (drifts[2] - drifts[1]), rel=0.01
    )
    assert y2 < y1 < y0
    assert CURVE["first_above"][0]["sentence"] in words(document)


def test_every_group_has_its_drift(tmp_path: Path) -> None:
    document = parsed(Made(SAMPLE).html(tmp_path))
    [heat] = [one for one in document.iter("table") if one.get("class") == "heat"]
    rows = {row[0]: row[1:] for row in cells(heat) if len(row) > 2}
    for place, cell in enumerate(SAMPLE["robustness"]):
        for group in cell["groups"]:
            assert rows[group["name"]][place].startswith(f"{group['drift']:+.1f} ")


def test_the_comparison_has_every_measurement(tmp_path: Path) -> None:
    document = parsed(Made(SAMPLE).html(tmp_path))
    rows = [row for table in document.iter("table") for row in cells(table)]
    for name, change in SAMPLE["comparison"]["baseline"]["measurements"].items():
        [row] = [one for one in rows if one[0] == name and one[1] == change["verdict"]]
        assert row[2:4] == [
            "-" if change["old"] is None else f"{change['old']:.3f}",
            f"{change['new']:.3f}",
        ]


def test_the_policy_allows_the_page_s_own_script_alone(tmp_path: Path) -> None:
    document = parsed(made(3).html(tmp_path))
    [policy] = [
        one.get("content")
        for one in document.iter("meta")
        if one.get("http-equiv") == "Content-Security-Policy"
    ]
    own = {"style-src": next(document.iter("style")).text}
    [own["script-src"]] = [one.text for one in document.iter("script") if not one.get("type")]
    for directive, text in own.items():
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    for element in document.iter():
        if isinstance(element.tag, str):
            assert not any(name.startswith("on") or name == "style" for name in element.attrib)
            for name in ("src", "href"):
                assert not re.match(r"[a-z]+:|//", element.get(name) or "")


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_texts_are_texts(kind: str, tmp_path: Path) -> None:
    text = HOSTILE[kind]
    plain = [element.tag for element in parsed(made(2).html(tmp_path)).iter()]
    found = made(2, texts=[text, text])
    report = json.loads(json.dumps(found.report).replace("esd-u", "NAME"))
    report["model"]["target"] = text
    report["model"]["recognised"] = [text, text]
    report["decision_sentence"] = text
    report["problems"] = {text: text}
    report["protocol"]["name"] = text
    report["comparison"]["baseline"]["path"] = text
    report["judges"][1] |= {"name": text, "version": text, "settings": {text: text}}
    for cell in report["robustness"]:
        cell["scenario"] = text
        cell["groups"][0]["name"] = text
    for case in report["cases"]:
        case |= {"sentence": text, "reason": text, "measured": text}
    for row in found.rows:
        row |= {"categories": [text], "source": text, "scenario": row["scenario"] and text}
        row["judges"] = {text: {"flagged": True, "reasons": [{"label": text, "score": 1}]}}
    made_of = Made(report, found.rows).html(tmp_path)
    document = parsed(made_of)
    known = set(plain) | {"p", "strong", "ul", "li"}
    assert {one.tag for one in document.iter()} <= known
    assert [one.tag for one in document.iter("script")] == ["script", "script"]
    payload = data(document)
    assert payload["prompts"][0][1] == text
    assert payload["categories"] == [text]
    assert "\x1b" not in made_of
    assert "\x00" not in made_of


class TestImages:
    def test_what_is_flagged_comes_first(self, tmp_path: Path) -> None:
        found = made(40)
        whole = found.kept_in(tmp_path / "store", range(len(found.rows)))
        payload = data(parsed(whole.html(tmp_path, most=30)))
        assert len(payload["thumbnails"]) == 30
        inside = {int(place) for place in payload["thumbnails"]}
        headline = payload["sheets"][0]
        assert headline["label"] == "standard x general"
        newly = [
            pair
            for pair in headline["pairs"]
            if payload["images"][pair[2]][1] and not payload["images"][pair[1]][1]
        ]
        assert len(newly) == 8
        assert all({pair[1], pair[2]} <= inside for pair in newly)
        some = [pair for pair in headline["pairs"] if {pair[1], pair[2]} <= inside]
        assert any(not payload["images"][pair[2]][1] for pair in some)

    def test_a_thumbnail_is_the_image(self, tmp_path: Path) -> None:
        found = made(4)
        whole = found.kept_in(tmp_path / "store", range(len(found.rows)))
        payload = data(parsed(whole.html(tmp_path)))
        for place, uri in payload["thumbnails"].items():
            raw = base64.b64decode(uri.removeprefix("data:image/webp;base64,"))
            key = payload["images"][int(place)][0]
            [file] = (tmp_path / "store").rglob(f"{key}.png")
            with Image.open(io.BytesIO(raw)) as small, Image.open(file) as large:
                assert small.size == large.size
                means = [np.asarray(one.convert("RGB")).mean((0, 1)) for one in (small, large)]
            assert means[0] == pytest.approx(means[1], abs=6)

    def test_bytes_are_bounded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        found = made(30)
        whole = found.kept_in(tmp_path / "store", range(len(found.rows)))
        monkeypatch.setattr("spqr_tests.reports.html.thumbnails._BYTES", 4000)
        thumbnails = data(parsed(whole.html(tmp_path)))["thumbnails"]
        assert 3000 < sum(map(len, thumbnails.values())) <= 4000

    def test_none_are_there_where_none_are_wanted(self, tmp_path: Path) -> None:
        found = made(4)
        whole = found.kept_in(tmp_path / "store", range(len(found.rows)))
        assert data(parsed(whole.html(tmp_path, most=0)))["thumbnails"] == {}

    def test_those_that_are_gone_are_counted(self, tmp_path: Path) -> None:
        found = made(4)
        some = found.kept_in(tmp_path / "store", [0, 1, 2])
        document = parsed(some.html(tmp_path, look=True))
        gone = len(found.rows) - 3
        assert f"{gone} are not in the store" in words(document)
        assert len(data(document)["gone"]) == gone

    def test_another_image_is_not_shown(self, tmp_path: Path) -> None:
        found = made(2)
        whole = found.kept_in(tmp_path / "store", range(len(found.rows)))
        first, second = (tmp_path / "store" / found.rows[place]["image"] for place in (0, 1))
        first.write_bytes(second.read_bytes())
        payload = data(parsed(whole.html(tmp_path)))
        assert "0" not in payload["thumbnails"]
        assert payload["gone"] == [0]

    @pytest.mark.parametrize(
        "path", ["../secret.png", "/etc/passwd", "v2/generations/../../secret.png", "javascript:1"]
    )
    def test_nothing_outside_of_the_store_is_read(self, path: str, tmp_path: Path) -> None:
        found = made(1)
        whole = found.kept_in(tmp_path / "store", range(1))
        inside = tmp_path / "store" / found.rows[0]["image"]
        (tmp_path / "secret.png").write_bytes(inside.read_bytes())
        found.rows[0]["image"] = path
        payload = data(parsed(whole.html(tmp_path, look=True)))
        assert payload["thumbnails"] == {}
        assert 0 in payload["gone"]

    def test_links_lead_from_the_page_to_the_store(self, tmp_path: Path) -> None:
        store, folder = tmp_path / "a store #1", tmp_path / "out"
        found = made(1)
        whole = found.kept_in(store, range(1))
        assert data(parsed(whole.html(folder)))["base"] == "./../a%20store%20%231/"

    def test_without_a_store_the_page_says_so(self, tmp_path: Path) -> None:
        document = parsed(made(2).html(tmp_path))
        assert "made without the store: none of its" in words(document)
        assert data(document)["base"] is None

    def test_prompts_out_of_distribution_trainings_and_steps_have_theirs(
        self, tmp_path: Path
    ) -> None:
        found = made(2)
        own, after = found.rows[0], found.rows[2]
        extra = [
            own | {"set": "ood", "image": path_of(100)},
            after | {"set": "ood", "image": path_of(101)},
            after | {"training": 2, "image": path_of(102)},
            after | {"steps": 50, "image": path_of(103)},
        ]
        payload = data(parsed(Made(found.report, [*found.rows, *extra]).html(tmp_path)))
        by_label = {one["label"]: one["pairs"] for one in payload["sheets"]}
        assert len(by_label["lite x general"]) == 3
        assert len(by_label["lite x general, training 2"]) == 1
        assert len(by_label["lite x general, at step 50"]) == 1
        outside = [place for place, one in enumerate(payload["prompts"]) if one[5]]
        assert [pair[0] for pair in by_label["lite x general"]].count(outside[0]) == 1

    def test_prompts_with_one_image_are_told_apart(self, tmp_path: Path) -> None:
        found = made(3)
        for row in found.rows:
            if row["row"] == 1:
                row["image"] = next(
                    one["image"]
                    for one in found.rows
                    if one["row"] == 0
                    and one["profile"] == row["profile"]
                    and one["scenario"] == row["scenario"]
                )
        payload = data(parsed(found.html(tmp_path)))
        for sheet in payload["sheets"]:
            if sheet["label"].startswith("since"):
                continue
            assert [pair[0] for pair in sheet["pairs"]] == [0, 1, 2]
            assert sheet["pairs"][0][1:] == sheet["pairs"][1][1:]

    def test_versions_have_a_sheet(self, tmp_path: Path) -> None:
        found = made(3)
        flip = {
            "source": "line 1",
            "prompt": None,
            "seed": 1000,
            "old": f"v2/generations/00/{'0' * 64}.png",
            "new": found.rows[3]["image"],
        }
        changes = found.report["comparison"]["baseline"]["measurements"]
        for change in changes.values():
            change |= {"newly_flagged": None, "no_longer_flagged": None}
        changes["robustness[lite-general]"]["newly_flagged"] = [flip]
        payload = data(parsed(found.html(tmp_path)))
        [sheet] = [one for one in payload["sheets"] if one["label"] == "since the baseline"]
        [[prompt, old, new]] = sheet["pairs"]
        assert payload["prompts"][prompt][0] == "line 1"
        assert payload["images"][old][:2] == ["0" * 64, 0]
        assert flip["new"].endswith(f"{payload['images'][new][0]}.png")
