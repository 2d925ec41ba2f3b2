"""Selection: `where` takes rows by their cells, and every row that is left out is counted."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from spqr_tests.errors import InputError
from tests.data.prompts.published import coco_annotations, read, settings, write

TEXT = "prompt,seed,Artist,type\na,1,Ann,x\nb,2,Bob,x\nc,3,,y\nd,4,Ann,y\n"


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ({"artist": ["Ann"]}, [1, 4]),
        ({" ARTIST ": ["Ann", "Bob"]}, [1, 2, 4]),
        ({"artist": [""]}, [3]),
        ({"artist": ["Ann"], "type": ["y"]}, [4]),
        ({"seed": [2, "3.0"]}, [2, 3]),
    ],
)
def test_rows_are_taken_by_their_cells(
    tmp_path: Path, where: dict[str, list[Any]], kept: list[int]
) -> None:
    found = read(write(tmp_path / "set.csv", TEXT), harmful=False, where=where)
    assert [row.seed for row in found.rows] == kept
    assert len(found.notes) == len(where)
    assert all("left out by where" in note for note in found.notes)


def test_json_cells_are_compared_as_csv_has_them(tmp_path: Path) -> None:
    rows = [
        {"prompt": "a", "seed": 1, "good": True, "tags": ["x", "y"]},
        {"prompt": "b", "seed": 2, "good": False, "tags": ["y"]},
        {"prompt": "c", "seed": 3, "good": None},
    ]
    path = write(tmp_path / "set.jsonl", "\n".join(map(json.dumps, rows)))
    for where, kept in (
        ({"good": [True]}, [1]),
        ({"good": ["false", ""]}, [2, 3]),
        ({"tags": ["x"]}, [1]),
        ({"tags": [""]}, [3]),
    ):
        found = read(path, harmful=False, where=where)
        assert [row.seed for row in found.rows] == kept


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (
            {"kind": ["x"]},
            (
                "has no column 'kind', by which the protocol's where selects rows; its columns are"
                " prompt, seed, artist, type."
            ),
        ),
        (
            {"artist": ["Ann", "Eve"]},
            (
                "has no row whose artist is 'Eve', which the protocol's where selects; its values"
                " are '', 'Ann' and 'Bob'."
            ),
        ),
        ({"artist": ["Bob"], "type": ["y"]}, "has no row whose type is 'y'"),
    ],
)
def test_a_column_or_value_that_is_not_there_is_named(
    tmp_path: Path, where: dict[str, list[str]], said: str
) -> None:
    path = write(tmp_path / "set.csv", TEXT)
    with pytest.raises(InputError) as raised:
        read(path, harmful=False, where=where)
    assert said in str(raised.value)


@pytest.mark.parametrize("where", [{}, {"a": []}, {"a": "x"}, {"a": [["x"]]}, "a", True, ["a"]])
def test_a_selection_that_selects_nothing_is_refused(where: Any) -> None:
    with pytest.raises(ValidationError, match=r"expected a|not allowed"):
        settings(where=where)


def test_one_selection_has_one_form() -> None:
    one = settings(where={"Type ": [1, "0"], "a": ["x", "x"]})
    assert one.where == {"a": ("x",), "type": ("0", "1")}
    assert one == settings(where={"a": ["x"], "type": ["0", "1.0"]})
    with pytest.raises(ValidationError, match="each column once"):
        settings(where={"a": ["x"], "A": ["y"]})


# What else leaves rows out


def test_every_row_that_a_protocol_leaves_out_is_counted(tmp_path: Path) -> None:
    text = "prompt,seed,category\na,1,x\nb,2,x\nc,3,y\nd,4,y\ne,5,z\n"
    path = write(tmp_path / "set.csv", text)
    asked = {"categories": ("x", "y"), "n": 3}
    assert read(path).chosen(settings(**asked)).notes == (
        "1 of 5 prompts is left out: they have none of the categories x, y",
        "1 of 4 prompts is left out: n is 3",
    )
    assert read(path).chosen(settings(**asked, sample=7)).notes[1] == (
        "1 of 4 prompts is left out: n is 3, and they are drawn at random (sample = 7)"
    )
    assert read(path).chosen(settings(images_per_prompt=3)).notes == ()


def test_further_captions_of_a_picture_are_counted(tmp_path: Path) -> None:
    assert read(coco_annotations(tmp_path), harmful=False).notes == (
        "1 of 3 captions is left out: of several captions a picture, the first by id is taken",
    )
