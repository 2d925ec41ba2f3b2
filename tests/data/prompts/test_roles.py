"""Roles: what says that a row is harmful or benign, and what contradicts the protocol."""

import json
from pathlib import Path

import pytest

from spqr_tests.errors import InputError
from tests.data.prompts.published import read, write

ERASED = (
    ",type,prompt,evaluation_seed\n0,erased,a portrait of Ann,1\n1,others,a portrait of Bob,2\n"
    "2,erased,a photo of Ann,3\n3,others,a photo of Bob,4\n"
)
NUMBERED = ",type,prompt,evaluation_seed\n0,0,a portrait of Ann,1\n1,1,a portrait of Bob,2\n"
COCO = "image_id,source,prompt,evaluation_seed\n1,COCO,a red car,5\n2,COCO,a blue boat,6\n"
I2P = (
    ",prompt,categories,evaluation_seed,evaluation_guidance\n0,a car,violence,7,7\n"
    '1,a boat,"shocking, hate",8,7.5\n'
)
GUIDED = (
    "case_number,source,prompt,evaluation_seed,evaluation_guidance\n0,COCO,a car,7,3.5\n"
    "1,COCO,a boat,8,9\n"
)


def _refusal(path: Path, *, harmful: bool) -> str:
    with pytest.raises(InputError) as raised:
        read(path, harmful=harmful)
    return str(raised.value).replace(str(path), path.name)


# A column that divides a file


@pytest.mark.parametrize(
    ("harmful", "kept", "note"),
    [
        (True, [1, 3], "2 of 4 rows are left out as not harmful: their type is 'others'"),
        (False, [2, 4], "2 of 4 rows are left out as not benign: their type is 'erased'"),
    ],
)
def test_a_type_in_words_says_which_rows_are_read(
    tmp_path: Path, kept: list[int], note: str, *, harmful: bool
) -> None:
    found = read(write(tmp_path / "set.csv", ERASED), harmful=harmful)
    assert [row.seed for row in found.rows] == kept
    assert found.notes == (note,)


@pytest.mark.parametrize("word", ["others", "preserved", "retained", "Others", " other "])
def test_the_words_of_every_method_are_known(tmp_path: Path, word: str) -> None:
    path = write(tmp_path / "set.csv", ERASED.replace("others", word))
    assert [row.seed for row in read(path).rows] == [1, 3]


@pytest.mark.parametrize("name", ["type", "label", "role"])
@pytest.mark.parametrize("values", [("0", "1"), ("1.0", "0.0"), ("False", "True"), ("1", "1")])
@pytest.mark.parametrize("harmful", [True, False])
def test_a_number_does_not_say_which_row_is_which(
    tmp_path: Path, name: str, values: tuple[str, str], *, harmful: bool
) -> None:
    text = f"prompt,evaluation_seed,{name}\na,1,{values[0]}\nb,2,{values[1]}\n"
    said = _refusal(write(tmp_path / "set.csv", text), harmful=harmful)
    assert said.startswith(f"The prompt set set.csv has a column {name} of ")
    assert "which does not say which rows are harmful: say in the protocol which it takes" in said
    assert f"such as where = {{{name} = [" in said


@pytest.mark.parametrize("harmful", [True, False])
def test_the_protocol_may_say_what_a_number_means(tmp_path: Path, *, harmful: bool) -> None:
    path = write(tmp_path / "set.csv", NUMBERED)
    found = read(path, harmful=harmful, where={"type": ["1"]})
    assert [row.seed for row in found.rows] == [2]
    assert found.notes == ("1 of 2 rows is left out by where: their type is not '1'",)


def test_the_protocol_does_not_turn_a_kept_row_into_a_harmful_one(tmp_path: Path) -> None:
    path = write(tmp_path / "set.csv", ERASED)
    assert len(read(path, harmful=False, where={"type": ["others"]}).rows) == 2
    with pytest.raises(
        InputError, match=r"line 3 has the type 'others', which says that it is not"
    ):
        read(path, where={"type": ["others"]})


@pytest.mark.parametrize(
    ("word", "said"),
    [("neighbour", "has the type 'neighbour'"), ("", "has no type")],
)
def test_a_row_whose_word_is_not_known_is_refused_where_others_are(
    tmp_path: Path, word: str, said: str
) -> None:
    path = write(tmp_path / "set.csv", ERASED.replace("1,others", f"1,{word}"))
    assert f"line 3 {said}, which does not say whether it is harmful" in _refusal(
        path, harmful=True
    )


def test_a_type_that_is_a_topic_says_nothing_of_roles(tmp_path: Path) -> None:
    text = "prompt,seed,type\na,1,portrait\nb,2,landscape\n"
    path = write(tmp_path / "set.csv", text)
    for harmful in (True, False):
        assert len(read(path, harmful=harmful).rows) == 2


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
@pytest.mark.parametrize(
    ("name", "harmful_where"),
    [("is_safe", False), ("safe", False), ("unsafe", True), ("is_harmful", True), ("nsfw", True)],
)
@pytest.mark.parametrize("harmful", [True, False])
def test_a_column_of_truth_values_says_which_rows_are_read(
    tmp_path: Path, name: str, suffix: str, *, harmful_where: bool, harmful: bool
) -> None:
    rows = [{"prompt": "a", "seed": 1, name: True}, {"prompt": "b", "seed": 2, name: False}]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    if suffix == ".csv":
        text = f"prompt,seed,{name}\na,1,True\nb,2,False\n"
    found = read(write(tmp_path / f"set{suffix}", text), harmful=harmful)
    assert [row.seed for row in found.rows] == ([1] if harmful == harmful_where else [2])
    assert len(found.notes) == 1


def test_a_file_without_a_row_of_the_role_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "set.csv", ERASED.replace("others", "erased"))
    assert "the type 'erased', which says that it is not a benign prompt" in _refusal(
        path, harmful=False
    )


# What contradicts a role


@pytest.mark.parametrize(
    "text",
    [
        COCO,
        GUIDED,
        COCO.replace("COCO", "coco-30k"),
        COCO.replace("image_id", "case_number"),
        COCO.replace("image_id", "coco_id"),
        COCO.replace("evaluation_seed", "seed"),
        COCO.replace("COCO", "MS-COCO"),
        "source,caption\ncoco_object,a red car\n",
        "coco_id,prompt,seed\n12,a red car,1\n",
        "image_id,prompt,seed\n12,a red car,1\n",
    ],
)
def test_captions_of_coco_are_not_harmful(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "set.csv", text)
    said = _refusal(path, harmful=True)
    assert "COCO" in said or "a caption of a picture" in said
    assert any(name in said for name in ("source", "coco_id", "image_id"))
    assert len(read(path, harmful=False).rows) == text.count("\n") - 1


def test_the_refusal_of_coco_names_its_columns(tmp_path: Path) -> None:
    assert _refusal(write(tmp_path / "set.csv", COCO), harmful=True) == (
        "The prompt set set.csv is COCO captions, which holds benign prompts; the protocol asks for"
        " harmful ones (known by its columns image_id and source)."
    )


def test_cocos_rows_have_their_seeds_and_guidance(tmp_path: Path) -> None:
    found = read(write(tmp_path / "set.csv", COCO), harmful=False)
    assert [(row.seed, row.guidance) for row in found.rows] == [(5, None), (6, None)]
    found = read(write(tmp_path / "guided.csv", GUIDED), harmful=False)
    assert [(row.seed, row.guidance) for row in found.rows] == [(7, 3.5), (8, 9.0)]


def test_a_table_of_coco_and_others_is_read_by_what_the_protocol_selects(tmp_path: Path) -> None:
    text = "source,prompt,evaluation_seed\ncoco-30k,a red car,1\nlaion,a blue car,2\n"
    path = write(tmp_path / "set.csv", text)
    assert "line 3 has the source 'laion', and other rows are captions of COCO" in _refusal(
        path, harmful=False
    )
    assert [row.seed for row in read(path, where={"source": ["laion"]}).rows] == [2]
    found = read(path, harmful=False, where={"source": ["coco-30k"]})
    assert [row.seed for row in found.rows] == [1]


def test_a_source_that_only_begins_like_coco_is_another(tmp_path: Path) -> None:
    text = "source,prompt,evaluation_seed\ncoconut,a palm,1\n"
    assert len(read(write(tmp_path / "set.csv", text)).rows) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (I2P, "line 2 has the categories 'violence', which says what it is harmful by"),
        ("prompt,tag\na,Violence\n", "line 2 has the tag 'Violence'"),
        ("prompt,category\na,self-harm\n", "line 2 has the category 'self-harm'"),
        ("prompt,nudity_percentage\na,0.0\nb,20.0\n", "line 3 has the nudity_percentage '20'"),
        (
            "prompt,hard,q16_percentage\na,1,0\n",
            "line 2 has the hard '1', which I2P's authors measured",
        ),
        ("prompt,content_flag\na,flagged\n", "line 2 has the content_flag 'flagged'"),
    ],
)
def test_rows_that_say_that_they_are_harmful_are_not_benign(
    tmp_path: Path, text: str, said: str
) -> None:
    path = write(tmp_path / "set.csv", text)
    assert said in _refusal(path, harmful=False)
    assert _refusal(path, harmful=False).endswith(
        "; the protocol asks for benign prompts: give another set, or select its rows with where."
    )
    assert read(path).rows


def test_a_difficulty_is_no_harm(tmp_path: Path) -> None:
    assert read(write(tmp_path / "set.csv", "prompt,hard\na,1\n"), harmful=False).rows


def test_rows_without_a_category_may_be_selected_as_benign(tmp_path: Path) -> None:
    path = write(tmp_path / "set.csv", I2P + "2,a ring,,9,7\n")
    found = read(path, harmful=False, where={"categories": [""]})
    assert [row.seed for row in found.rows] == [9]
    assert found.notes == ("2 of 3 rows are left out by where: their categories is not ''",)


def test_topics_of_a_benign_set_are_named(tmp_path: Path) -> None:
    found = read(write(tmp_path / "set.csv", "prompt,category\na,Arts\nb,Food\n"), harmful=False)
    assert found.notes == (
        "categories are taken for topics, as the protocol asks for benign prompts: Arts and Food",
    )


@pytest.mark.parametrize("column", ["prompts", "prompt"])
def test_own_categories_do_not_make_a_published_benign_set(tmp_path: Path, column: str) -> None:
    rows = {"a": {column: "a skull", "category": "unsafe"}}
    path = write(tmp_path / "set.json", json.dumps(rows if column == "prompt" else [rows["a"]]))
    if column == "prompt":
        assert read(path).categories == ("unsafe",)
    else:
        assert "has the columns prompts, category, which are not a known" in _refusal(
            path, harmful=True
        )
