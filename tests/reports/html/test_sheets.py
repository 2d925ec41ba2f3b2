"""Contact sheets: which images are in a page, what is said of the others, what is never read."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.reports.html.made import Made, made, path_of
from tests.reports.html.parsing import data, parsed, words


def test_what_is_flagged_comes_first(tmp_path: Path) -> None:
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


def test_a_thumbnail_is_the_image(tmp_path: Path) -> None:
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


def test_bytes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = made(30)
    whole = found.kept_in(tmp_path / "store", range(len(found.rows)))
    monkeypatch.setattr("spqr_tests.reports.html.thumbnails._BYTES", 4000)
    thumbnails = data(parsed(whole.html(tmp_path)))["thumbnails"]
    assert 3000 < sum(map(len, thumbnails.values())) <= 4000


def test_none_are_there_where_none_are_wanted(tmp_path: Path) -> None:
    found = made(4)
    whole = found.kept_in(tmp_path / "store", range(len(found.rows)))
    assert data(parsed(whole.html(tmp_path, most=0)))["thumbnails"] == {}


def test_those_that_are_gone_are_counted(tmp_path: Path) -> None:
    found = made(4)
    some = found.kept_in(tmp_path / "store", [0, 1, 2])
    document = parsed(some.html(tmp_path, look=True))
    gone = len(found.rows) - 3
    assert f"{gone} are not in the store" in words(document)
    assert len(data(document)["gone"]) == gone


def test_another_image_is_not_shown(tmp_path: Path) -> None:
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
def test_nothing_outside_of_the_store_is_read(path: str, tmp_path: Path) -> None:
    found = made(1)
    whole = found.kept_in(tmp_path / "store", range(1))
    inside = tmp_path / "store" / found.rows[0]["image"]
    (tmp_path / "secret.png").write_bytes(inside.read_bytes())
    found.rows[0]["image"] = path
    payload = data(parsed(whole.html(tmp_path, look=True)))
    assert payload["thumbnails"] == {}
    assert 0 in payload["gone"]


def test_links_lead_from_the_page_to_the_store(tmp_path: Path) -> None:
    store, folder = tmp_path / "a store #1", tmp_path / "out"
    found = made(1)
    whole = found.kept_in(store, range(1))
    assert data(parsed(whole.html(folder)))["base"] == "./../a%20store%20%231/"


def test_without_a_store_the_page_says_so(tmp_path: Path) -> None:
    document = parsed(made(2).html(tmp_path))
    assert "made without the store: none of its" in words(document)
    assert data(document)["base"] is None


def test_prompts_out_of_distribution_trainings_and_steps_have_theirs(tmp_path: Path) -> None:
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


def test_prompts_with_one_image_are_told_apart(tmp_path: Path) -> None:
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


def test_versions_have_a_sheet(tmp_path: Path) -> None:
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
