"""Benign sets: pictures with captions, all there or refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from spqr_tests.evidence import benign
from spqr_tests.evidence.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures; `metadata.jsonl` is what each test writes."""
    made = tmp_path / "set"
    made.mkdir()
    for number in range(3):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(made / f"{number}.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "outside.png")
    return made


def _describe(folder: Path, *rows: Any) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def _rows(captions: str = "abc") -> list[dict[str, str]]:
    return [{"file_name": f"{number}.png", "text": caption} for number, caption in enumerate(captions)]


@pytest.mark.parametrize(("n", "kept"), [(None, 3), (3, 3), (2, 2), (1, 1)])
def test_the_first_pairs_are_read_in_the_order_of_the_metadata(folder: Path, n: int | None, kept: int) -> None:
    found = benign.read(_describe(folder, *reversed(_rows())), n)
    assert found.pairs == tuple((folder / f"{number}.png", "abc"[number]) for number in (2, 1, 0))[:kept]


def test_empty_lines_are_passed_over(folder: Path) -> None:
    first, second, _ = _rows()
    assert [caption for _, caption in benign.read(_describe(folder, first, "", "  ", second)).pairs] == ["a", "b"]


def test_a_caption_may_hold_any_character_that_json_allows(folder: Path) -> None:
    assert benign.read(_describe(folder, *_rows("\u2028a")[1:]), 1).pairs[0][1] == "a"
    assert benign.read(_describe(folder, {"file_name": "0.png", "text": "a\u2028b"})).pairs[0][1] == "a\u2028b"


BAD = {
    "no JSON": ("{", "expected is an object with file_name and text"),
    "a list": ("[1]", "expected is an object with file_name and text"),
    "no caption's key": ({"file_name": "0.png"}, "expected is an object with file_name and text"),
    "no file's key": ({"text": "a"}, "expected is an object with file_name and text"),
    "a file name that is a number": ({"file_name": 3, "text": "a"}, "expected is an object with file_name and text"),
    "an empty caption": ({"file_name": "0.png", "text": " "}, r"0\.png has no caption"),
    "a caption that is no text": ({"file_name": "0.png", "text": None}, r"0\.png has no caption"),
    "a picture that is missing": ({"file_name": "9.png", "text": "a"}, r"there is no picture 9\.png in"),
    "a folder": ({"file_name": ".", "text": "a"}, r"there is no picture \. in"),
    "a picture outside": ({"file_name": "../outside.png", "text": "a"}, r"there is no picture \.\./outside\.png in"),
    "a file name with a null": ({"file_name": "0\x00.png", "text": "a"}, "expected is an object with file_name and text"),
    "half a character": ('{"file_name": "0.png", "text": "\\ud83d"}', "expected is an object with file_name and text"),
    "nested without end": ("[" * 100_000, "expected is an object with file_name and text"),
}


@pytest.mark.parametrize(("row", "sentence"), BAD.values(), ids=BAD)
def test_a_row_that_cannot_be_used_is_named_by_file_and_line(folder: Path, row: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=rf"^.*metadata\.jsonl, line 2: {sentence}"):
        benign.read(_describe(folder, _rows()[0], row))


def test_an_absolute_path_outside_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="line 1: there is no picture"):
        benign.read(_describe(folder, {"file_name": str(folder.parent / "outside.png"), "text": "a"}))


@pytest.mark.parametrize("n", [4, 1000])
def test_fewer_pictures_than_the_protocol_asks_for_are_refused(folder: Path, n: int) -> None:
    with pytest.raises(InputError, match=rf"set holds 3 pictures, and the protocol asks for {n}\."):
        benign.read(_describe(folder, *_rows()), n)


def test_no_pictures_are_refused(folder: Path) -> None:
    (folder / "metadata.jsonl").touch()
    with pytest.raises(InputError, match=r"holds 0 pictures, and the protocol asks for 1\."):
        benign.read(folder)


def test_a_folder_without_metadata_is_refused_with_what_is_expected(folder: Path) -> None:
    with pytest.raises(InputError, match=r"expected is a folder of pictures with metadata\.jsonl"):
        benign.read(folder)


def test_the_digest_depends_on_captions_pictures_and_order_and_not_on_names(folder: Path) -> None:
    plain = benign.read(_describe(folder, *_rows())).digest
    assert benign.read(_describe(folder, *_rows("abd"))).digest != plain
    assert benign.read(_describe(folder, *reversed(_rows()))).digest != plain
    assert benign.read(_describe(folder, *_rows()), 2).digest != plain
    (folder / "1.png").rename(folder / "other.png")
    renamed = [row | {"file_name": row["file_name"].replace("1.", "other.")} for row in _rows()]
    assert benign.read(_describe(folder, *renamed)).digest == plain
    Image.new("RGB", (4, 4), (99, 0, 0)).save(folder / "other.png")
    assert benign.read(_describe(folder, *renamed)).digest != plain
