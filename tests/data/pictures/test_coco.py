"""COCO's captions: one a picture, with the pictures found where people unpack them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spqr_tests.data.pictures import read as read_pictures
from spqr_tests.errors import InputError
from tests.data.pictures.conftest import coco_table, picture, write_coco

PLACES = {
    "beside": ("captions_val2017.json", "."),
    "around": ("annotations/captions_val2017.json", "."),
    "its split": ("annotations/captions_val2017.json", "val2017"),
    "images": ("annotations/captions_val2017.json", "images"),
    "its split of images": ("annotations/captions_val2017.json", "images/val2017"),
    "any one folder": ("annotations/captions_val2017.json", "pictures"),
    "a folder beside the file": ("captions_val2017.json", "val2017"),
}


@pytest.mark.parametrize(("captions", "pictures"), PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("by_file", [False, True])
def test_each_picture_has_its_first_caption_by_id(
    tmp_path: Path, captions: str, pictures: str, *, by_file: bool
) -> None:
    file = write_coco(tmp_path / captions, tmp_path / pictures)
    found = read_pictures(file if by_file else tmp_path)
    names = [
        (path.resolve().relative_to((tmp_path / pictures).resolve()).name, text)
        for path, text in found.pairs
    ]
    assert names == [(f"{number:012d}.jpg", f"first {number}") for number in (2, 1, 0)]
    assert read_pictures(tmp_path, 2).pairs == found.pairs[:2]


def test_captions_in_another_language_are_a_file_of_the_same_form(tmp_path: Path) -> None:
    write_coco(tmp_path / "annotations" / "captions_val2017.json", tmp_path / "val2017")
    table = coco_table()
    for one in table["annotations"]:
        one["caption"] = "صورة"
    arabic = write_coco(
        tmp_path / "annotations" / "captions_val2017_ar.json", tmp_path / "val2017", table
    )
    assert {caption for _, caption in read_pictures(arabic).pairs} == {"صورة"}
    with pytest.raises(
        InputError,
        match=r"is described by annotations/captions_val2017\.json, .*_ar\.json; name the file",
    ):
        read_pictures(tmp_path)


def test_the_caption_s_key_may_be_named(tmp_path: Path) -> None:
    table = coco_table()
    for one in table["annotations"]:
        one["caption_es"] = "una " + one["caption"]
    write_coco(tmp_path / "captions_x.json", tmp_path, table)
    assert read_pictures(tmp_path, caption="caption_es").pairs[0][1] == "una first 2"


def test_the_split_s_own_folder_goes_before_another_with_the_same_names(tmp_path: Path) -> None:
    write_coco(tmp_path / "annotations" / "captions_val2017.json", tmp_path / "val2017")
    write_coco(tmp_path / "annotations" / "captions_val2017.json", tmp_path / "thumbnails")
    assert {path.parent.name for path, _ in read_pictures(tmp_path).pairs} == {"val2017"}
    (tmp_path / "val2017").rename(tmp_path / "large")
    with pytest.raises(
        InputError, match=r"its picture 0+2\.jpg is in .*large and in .*thumbnails; keep one"
    ):
        read_pictures(tmp_path)


def _set(*keys: Any) -> Callable[[dict[str, Any]], None]:
    """An edit that puts the last of `keys` at the place that the others lead to."""

    def edit(table: dict[str, Any]) -> None:
        node: Any = table
        for key in keys[:-2]:
            node = node[key]
        node[keys[-2]] = keys[-1]

    return edit


def _without(*keys: Any) -> Callable[[dict[str, Any]], None]:
    def edit(table: dict[str, Any]) -> None:
        node: Any = table
        for key in keys[:-1]:
            node = node[key]
        del node[keys[-1]]

    return edit


BAD = {
    "no images": (_without("images"), "it has no list of objects named images"),
    "no annotations": (_set("annotations", []), "it has no list of objects named annotations"),
    "annotations of something else": (
        _set("annotations", [[]]),
        "it has no list of objects named annotations",
    ),
    "an image without a name": (
        _without("images", 1, "file_name"),
        "image 2: expected an object with id and file_name",
    ),
    "an image without an id": (
        _set("images", 1, "id", None),
        "image 2: expected an object with id and file_name",
    ),
    "two images with one id": (
        _set("images", 1, "id", 2),
        "image 2: two images have the id 2",
    ),
    "an annotation without a caption": (
        _without("annotations", 0, "caption"),
        "annotation 1: expected .* it has id, image_id",
    ),
    "an annotation whose id is no number": (
        _set("annotations", 0, "id", True),
        "annotation 1: expected an object",
    ),
    "an image whose captions are missing": (
        _set("images", 1, "id", 99),
        r"image 99: 0+1\.jpg has no caption",
    ),
    "an empty caption": (
        _set("annotations", 4, "caption", " "),
        r"image 1: 0+1\.jpg has no caption",
    ),
    "a name that leads out": (
        _set("images", 0, "file_name", "../outside.png"),
        r"there is no picture \.\./outside\.png in",
    ),
    "a first picture that is missing": (
        _set("images", 0, "file_name", "9.jpg"),
        r"there is no picture 9\.jpg in",
    ),
    "a picture that is missing": (
        _set("images", 1, "file_name", "9.jpg"),
        r"image 1: there is no picture 9\.jpg in",
    ),
    "a name that is a number": (
        _set("images", 0, "file_name", 7),
        "7 is not a picture's file name|there is no picture 7 in",
    ),
    "a name with a null": (_set("images", 0, "file_name", "\0"), "there is no picture"),
}


@pytest.mark.parametrize(("edit", "sentence"), BAD.values(), ids=BAD)
def test_a_file_that_cannot_be_used_is_refused_by_its_entry(
    tmp_path: Path, edit: Callable[[dict[str, Any]], None], sentence: str
) -> None:
    table = coco_table()
    edit(table)
    (tmp_path / "outside.png").write_bytes(picture())
    write_coco(tmp_path / "set" / "captions_x.json", tmp_path / "set" / "pictures", table)
    with pytest.raises(InputError, match=rf"captions_x\.json.*{sentence}"):
        read_pictures(tmp_path / "set")


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"images": "\\ud83d'])
def test_what_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "captions_x.json").write_text(text)
    with pytest.raises(
        InputError, match=r"captions_x\.json (is not JSON|holds no JSON object|is not UTF-8)"
    ):
        read_pictures(tmp_path)


def test_a_file_with_other_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / "captions_x.json").write_text(json.dumps([1, 2]))
    with pytest.raises(InputError, match=r"captions_x\.json holds no JSON object"):
        read_pictures(tmp_path)
