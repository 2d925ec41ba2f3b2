"""Published layouts: each is recognised, and gives every row its text, seed and categories."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from spqr_tests.data.prompts import Prompt
from spqr_tests.data.prompts.layouts import PUBLISHED
from spqr_tests.data.prompts.seeds import derived as derived_seed
from spqr_tests.errors import InputError
from tests.data.prompts import published
from tests.data.prompts.published import read, rows_as_csv, write

Write = Callable[[Path], Path]


def _seeded(*texts: str) -> list[tuple[str, int]]:
    return [(text, derived_seed(42, text)) for text in texts]


def test_i2p_has_seeds_guidance_and_several_categories_a_row(tmp_path: Path) -> None:
    found = read(published.i2p(tmp_path))
    assert found.rows == (
        Prompt("a skull, drawn, finely", 2_719_310_596, ("unsafe", "private"), guidance=7.0),
        Prompt("a dagger, drawn, finely", 11, ("unsafe",), guidance=7.5),
        Prompt("a badge, drawn, finely", 12, ("private",), guidance=12.0),
    )
    assert (found.categories, found.notes, found.layout) == (("private", "unsafe"), (), "I2P")


def test_a_protocol_may_set_the_rows_guidance_aside(tmp_path: Path) -> None:
    assert {row.guidance for row in read(published.i2p(tmp_path), guidance="protocol").rows} == {
        None
    }


def test_esds_csv_has_its_own_names_for_seed_and_guidance(tmp_path: Path) -> None:
    found = read(published.esd_i2p(tmp_path))
    assert found.rows == (
        Prompt("a skull", 50, ("unsafe", "private"), guidance=7.0),
        Prompt("a dagger", 51, ("unsafe",), guidance=7.0),
    )
    assert [row.source for row in found.rows] == [
        "line 2, case_number 10",
        "line 3, case_number 11",
    ]


@pytest.mark.parametrize(("other", "agrees"), [("50", True), ("", True), ("51", False)])
def test_a_seed_in_two_columns_is_one_seed_or_an_error(
    tmp_path: Path, other: str, *, agrees: bool
) -> None:
    row = {
        "prompt": "a skull",
        "categories": "unsafe",
        "evaluation_seed": 50,
        "sd_seed": other,
        "sd_guidance_scale": 7,
    }
    path = write(tmp_path / "both.csv", rows_as_csv(row))
    if agrees:
        assert read(path).rows == (Prompt("a skull", 50, ("unsafe",), guidance=7.0),)
    else:
        with pytest.raises(
            InputError, match="line 2 has evaluation_seed 50 and sd_seed 51, which disagree"
        ):
            read(path)


def test_visu_is_painted_from_its_harmful_texts_with_seeds_of_their_own(tmp_path: Path) -> None:
    found = read(published.visu(tmp_path))
    assert [(row.text, row.seed) for row in found.rows] == _seeded(
        "a skull on a table", "a badge on a table"
    )
    assert [row.categories for row in found.rows] == [("unsafe",), ("private",)]
    assert [row.source for row in found.rows] == [
        "row 1, incremental_id 0",
        "row 2, incremental_id 1",
    ]


@pytest.mark.parametrize(
    ("write_set", "texts"),
    [
        (published.visu, ["a ring on a table", "a tree on a table"]),
        (published.ring_a_bell_pairs, ["a ring", "a star"]),
    ],
    ids=["ViSU-Text", "Ring-A-Bell"],
)
def test_a_set_of_pairs_has_harmless_texts_for_who_asks_for_those(
    tmp_path: Path, write_set: Write, texts: list[str]
) -> None:
    found = read(write_set(tmp_path), harmful=False)
    assert [row.text for row in found.rows] == texts
    assert found.categories == ()


@pytest.mark.parametrize(
    ("write_set", "rows", "category"),
    [
        (published.ring_a_bell, [("skull a zq", 42), ("skull b zq", 42)], "nudity-ring-a-bell"),
        (published.ring_a_bell_pairs, _seeded("a skull", "a dagger"), "RAB"),
        (published.mma_diffusion, _seeded("zq skull vx", "zq dagger vx"), "mma"),
    ],
    ids=["Ring-A-Bell", "Ring-A-Bell, pairs", "MMA-Diffusion"],
)
def test_a_harmful_set_without_categories_is_one_of_its_own_name(
    tmp_path: Path, write_set: Write, rows: list[tuple[str, int]], category: str
) -> None:
    path = write_set(tmp_path)
    found = read(path)
    assert [(row.text, row.seed) for row in found.rows] == rows
    assert found.categories == (category,)
    named = published.read_prompts(path, published.settings("data:jailbreaks"), role="harmful")
    assert named.categories == ("jailbreaks",)


def test_the_flag_of_ring_a_bells_json_is_its_category(tmp_path: Path) -> None:
    found = read(published.ring_a_bell_json(tmp_path))
    assert found.categories == ("flagged", "not flagged")
    assert [row.text for row in found.of(("flagged",)).rows] == ["skull zq"]


@pytest.mark.parametrize(
    ("write_set", "identities"),
    [
        (published.coco_30k, ["line 2, coco_id 000000012", "line 3, coco_id 000345"]),
        (published.coco_10k, ["line 2, case_number 000000012", "line 3, case_number 000345"]),
    ],
    ids=["30k", "10k"],
)
def test_cocos_captions_keep_their_zero_padded_ids(
    tmp_path: Path, write_set: Write, identities: list[str]
) -> None:
    found = read(write_set(tmp_path), harmful=False)
    assert [row.text for row in found.rows] == ["a ring", "a star"]
    assert [row.source for row in found.rows] == identities
    assert found.rows[0].seed == 7
    assert found.layout == "COCO captions"


def test_cocos_annotations_give_one_caption_a_picture_the_first_by_id(tmp_path: Path) -> None:
    found = read(published.coco_annotations(tmp_path), harmful=False)
    assert [(row.text, row.seed) for row in found.rows] == _seeded("a ring", "a star")
    assert [row.source for row in found.rows] == ["row 3, image_id 139", "row 2, image_id 25"]


@pytest.mark.parametrize("name", ["image_id", "id"])
def test_annotations_whose_ids_are_no_numbers_are_refused(tmp_path: Path, name: str) -> None:
    annotation = {"image_id": 1, "id": 2, "caption": "a ring"} | {name: "1"}
    path = write(tmp_path / "captions.json", json.dumps({"annotations": [annotation]}))
    with pytest.raises(InputError, match=f"row 1 has the {name} '1'; expected a whole number"):
        read(path, harmful=False)


@pytest.mark.parametrize(
    ("write_set", "harmful", "said"),
    [
        (
            published.i2p,
            False,
            "is I2P, which holds harmful prompts; the protocol asks for benign ones",
        ),
        (published.mma_diffusion, False, "is MMA-Diffusion, which holds harmful prompts"),
        (
            published.coco_30k,
            True,
            "is COCO captions, which holds benign prompts; the protocol asks for harmful ones",
        ),
        (published.coco_annotations, True, "is COCO annotations, which holds benign prompts"),
    ],
)
def test_a_set_is_not_used_for_what_it_is_not(
    tmp_path: Path, write_set: Write, said: str, *, harmful: bool
) -> None:
    with pytest.raises(InputError, match=said):
        read(write_set(tmp_path), harmful=harmful)


# How a layout is known


@pytest.mark.parametrize(
    ("name", "write_set"),
    [*published.HARMFUL.items(), *published.BENIGN.items()],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_every_published_layout_is_known_by_its_columns(
    tmp_path: Path, name: str, write_set: Write
) -> None:
    found = read(write_set(tmp_path), harmful=name in published.HARMFUL)
    assert name.startswith(found.layout)
    assert found.layout


def test_every_layout_has_a_small_file_here() -> None:
    covered = [*published.HARMFUL, *published.BENIGN]
    for layout in PUBLISHED:
        assert any(name.startswith(layout.name) for name in covered), layout.name


@pytest.mark.parametrize(
    "write_set", [*published.HARMFUL.values(), published.coco_30k, published.coco_10k]
)
def test_a_layout_is_the_same_as_csv_and_as_json(tmp_path: Path, write_set: Write) -> None:
    path = write_set(tmp_path)
    harmful = write_set in published.HARMFUL.values()
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            rows = [
                {key: _number(value) for key, value in row.items()} for row in csv.DictReader(file)
            ]
        other = write(path.with_suffix(".jsonl"), "\n".join(json.dumps(row) for row in rows))
    else:
        rows = json.loads(path.read_text(encoding="utf-8"))
        other = write(path.with_suffix(".csv"), rows_as_csv(*rows))
    assert read(other, harmful=harmful).rows == read(path, harmful=harmful).rows


def _number(value: str) -> int | float | str:
    if value.isdigit() and (value == "0" or not value.startswith("0")):
        return int(value)
    try:
        return float(value)
    except ValueError:
        return value


def test_capital_letters_and_spaces_in_a_header_do_not_matter(tmp_path: Path) -> None:
    path = write(tmp_path / "set.csv", " Prompt , Categories,SD_SEED\na skull,unsafe,7\n")
    assert read(path).rows == (Prompt("a skull", 7, ("unsafe",)),)


def test_columns_that_are_no_layout_are_listed_with_the_layouts_that_are_known(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "set.csv", "title,url,\na,b,c\n")
    with pytest.raises(InputError) as raised:
        read(path)
    said = str(raised.value)
    assert (
        "has the columns title, url, (no name), which are not a known layout: I2P (categories,"
        " prompt, sd_seed);" in said
    )
    assert said.endswith("or a plain one (prompt, text or caption).")
    assert all(layout.name in said for layout in PUBLISHED)


def test_many_columns_are_counted(tmp_path: Path) -> None:
    names = [f"{number}{'c' * 90}" for number in range(300)]
    path = write(tmp_path / "set.jsonl", json.dumps(dict.fromkeys(names, 1)))
    with pytest.raises(
        InputError, match=r"c, and 280 more, which are not a known layout"
    ) as raised:
        read(path)
    assert len(str(raised.value)) < 2800


def test_columns_of_two_layouts_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "set.csv", "safe,nsfw,tag,adv_prompt,target_prompt\na,b,c,d,e\n")
    with pytest.raises(
        InputError, match=r"set\.csv may be ViSU-Text or MMA-Diffusion by its columns \(safe, nsfw"
    ):
        read(path)
