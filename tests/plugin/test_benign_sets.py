"""Benign sets of the user's own.

The same pictures in three layouts are one set, and a set that is not benign is refused.
"""

import csv
import io
import json
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from spqr_fixtures.embedded import scene
from tests.running import PROTOCOL, Suite

N = 8
GLYPHS = ("star", "heart", "ring", "house")


def _rows() -> list[tuple[str, str]]:
    return [(f"{number:03d}.png", f"a red {GLYPHS[number % 4]}") for number in range(N)]


def _pictures(folder: Path, forbidden: int | None = None) -> Path:
    folder.mkdir(parents=True)
    for number, (name, _) in enumerate(_rows()):
        glyph = "skull" if number == forbidden else GLYPHS[number % 4]
        Image.fromarray(scene.render(scene.Scene(glyph, "red", "white", x=number / 8))).save(
            folder / name
        )
    return folder


def _csv(folder: Path, rows: list[tuple[str, str]]) -> None:
    with (folder / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file_name", "text"), *rows])


def _protocol(folder: Path, **images: str) -> str:
    text, _, _ = PROTOCOL.read_text().partition("[scenarios.general]")
    for name, place in images.items():
        text += f'[scenarios.{name}]\nimages = "{place}"\nn = {N}\nabout = "a test"\n\n'
    path = folder / "own.toml"
    path.write_text(text + "[score]\ndraws = 400\n")
    return f"--spqr-protocol={path}"


def test_one_set_in_three_layouts_is_trained_on_once(suite: Suite, tmp_path: Path) -> None:
    pictures = _pictures(tmp_path / "folder")
    _csv(pictures, _rows())
    coco = tmp_path / "coco"
    _pictures(coco / "val2017")
    (coco / "annotations").mkdir()
    table = {
        "images": [{"id": number, "file_name": name} for number, (name, _) in enumerate(_rows())],
        "annotations": [
            {"id": number, "image_id": number, "caption": text}
            for number, (_, text) in enumerate(_rows())
        ],
    }
    (coco / "annotations" / "captions_val2017.json").write_text(json.dumps(table))
    with tarfile.open(tmp_path / "set.tar", "w") as archive:
        for name, text in _rows():
            for member, data in (
                (name, (pictures / name).read_bytes()),
                (name.replace("png", "txt"), text.encode()),
            ):
                entry = tarfile.TarInfo(member)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
    own = _protocol(tmp_path, general="folder", coco="coco", tars="data:tars")
    path = tmp_path / "own.toml"
    path.write_text(
        path.read_text()
        + '[data.tars]\nexpects = "a tar"\nsource = "this test"\npath = "set.tar"\n'
    )
    finished = suite(own, "-m", "robustness", "--spqr-profiles=lite")
    assert finished.report is not None, finished.output
    assert finished.report["cost"]["finetuned"] == 1
    cells = {
        cell["scenario"]: (cell["value"], cell["harmfulness_after"])
        for cell in finished.report["robustness"]
    }
    assert set(cells) == {"general", "coco", "tars"}
    assert len(set(cells.values())) == 1


@pytest.mark.parametrize("how", [(), ("-n2",)], ids=["alone", "n2"])
def test_one_forbidden_picture_breaks_the_run_before_anything_is_trained(
    suite: Suite, tmp_path: Path, how: tuple[str, ...]
) -> None:
    _csv(_pictures(tmp_path / "set", forbidden=5), _rows())
    finished = suite(_protocol(tmp_path, general="set"), "-m", "robustness", *how)
    assert finished.code == 3
    assert "1 of 8 pictures are flagged: 005.png (concepts: unsafe: skull, " in finished.output
    assert finished.report is not None
    assert finished.report["cost"]["finetuned"] == 0


def test_one_harmful_caption_is_refused_at_once(suite: Suite, tmp_path: Path) -> None:
    rows = [(name, "a skull on the wall" if name == "003.png" else text) for name, text in _rows()]
    _csv(_pictures(tmp_path / "set"), rows)
    finished = suite(_protocol(tmp_path, general="set"))
    assert finished.code == 4
    assert (
        "1 of 8 captions are not harmless: the caption of 003.png names 'skull', which the judge"
        " concepts forbids" in finished.output
    )
    assert finished.report is None


def test_a_set_that_cannot_be_read_is_refused_at_once(suite: Suite, tmp_path: Path) -> None:
    _csv(_pictures(tmp_path / "set"), [*_rows()[:-1], ("nowhere.png", "a star")])
    finished = suite(_protocol(tmp_path, general="set"))
    assert finished.code == 4
    assert "metadata.csv, line 9: there is no picture nowhere.png in" in finished.output


def test_a_picture_with_several_captions_counts_once(suite: Suite, tmp_path: Path) -> None:
    """In the reference set, before the judges and in counts; each pair is trained on."""
    several = [(name, f"{text} {more}") for more in ("alone", "on white") for name, text in _rows()]
    _csv(_pictures(tmp_path / "set"), several)
    _csv(_pictures(tmp_path / "plain"), _rows())
    fid = {}
    for name in ("set", "plain"):
        own = _protocol(tmp_path, general="set")
        path = tmp_path / "own.toml"
        path.write_text(
            path.read_text()
            .replace('"embedded:reference"', f'"{name}"')
            .replace("reference_images = 24", f"reference_images = {N}")
        )
        finished = suite(own, "-m", "quality or robustness", "--spqr-profiles=lite")
        assert finished.report is not None, finished.output
        context = finished.report["axes"]["quality"]["context"]
        assert context["reference_images"] == N
        fid[name] = context["fid"]
    assert fid["set"] == fid["plain"]
    assert (
        "spqr pictures: general: 8 pictures with 16 captions; each pair is an example to train on,"
        " and each picture counts once elsewhere" in finished.output
    )
    assert "spqr pictures: reference" not in finished.output


def test_a_picture_that_shows_nothing_is_refused_at_once(suite: Suite, tmp_path: Path) -> None:
    _csv(_pictures(tmp_path / "set"), _rows())
    Image.new("RGB", (32, 32), "white").save(tmp_path / "set" / "003.png")
    finished = suite(_protocol(tmp_path, general="set"))
    assert finished.code == 4
    assert "metadata.csv, line 5: The picture " in finished.output
    assert "003.png shows nothing: all of its pixels have one colour" in finished.output


def test_caption_files_are_a_layout(suite: Suite, tmp_path: Path) -> None:
    _pictures(tmp_path / "set")
    for name, text in _rows():
        (tmp_path / "set" / name).with_suffix(".txt").write_text(text)
    finished = suite(_protocol(tmp_path, general="set"), "-m", "robustness", "--spqr-profiles=lite")
    assert finished.report is not None, finished.output
    assert finished.report["cost"]["finetuned"] == 1
