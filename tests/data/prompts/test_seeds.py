"""Seeds: several for a row, and those that replace a set's own."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from spqr_tests.data.prompts import Prompt, PromptSet
from spqr_tests.data.prompts.seeds import derived
from spqr_tests.errors import InputError
from tests.data.prompts.published import read, settings, visu, write

ROWS = [
    {"prompt": "a ring", "seed": 9, "category": "a"},
    {"prompt": "a star", "seed": 3, "category": "b"},
    {"prompt": "a ring", "seed": 4, "category": "b"},
]


def _file(folder: Path, *rows: dict[str, Any]) -> Path:
    return write(folder / "set.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows))


def _seeds(found: PromptSet) -> list[tuple[str, int]]:
    return [(row.text, row.seed) for row in found.rows]


def _chosen(path: Path, **changed: Any) -> PromptSet:
    return read(path, **changed).chosen(settings(path.name, **changed))


def test_a_row_is_painted_with_its_own_seed_and_with_seeds_that_follow_from_it(
    tmp_path: Path,
) -> None:
    path = _file(tmp_path, *ROWS)
    assert _seeds(_chosen(path)) == [("a ring", 9), ("a star", 3), ("a ring", 4)]
    three = _chosen(path, images_per_prompt=3)
    assert [row.seed for row in three.rows[::3]] == [9, 3, 4]
    assert [row.categories for row in three.rows] == [("a",)] * 3 + [("b",)] * 6
    assert len(set(_seeds(three))) == 9
    # Fewer seeds are the first of more, and neither the protocol's seed nor other rows have a part
    # in them.
    two = _chosen(path, images_per_prompt=2, seed=7)
    assert [one for i, one in enumerate(_seeds(three)) if i % 3 < 2] == _seeds(two)
    assert _seeds(_chosen(_file(tmp_path, ROWS[2]), images_per_prompt=2)) == _seeds(two)[4:]


def test_the_seeds_are_the_same_in_every_version() -> None:
    assert [derived(42, "a ring", further) for further in range(3)] == [
        114_384_807_780_764,
        345_369_839_690_180,
        3_114_645_951_094_394,
    ]


def test_rows_are_counted_and_limited_before_they_are_painted_several_times(tmp_path: Path) -> None:
    path = _file(tmp_path, *ROWS)
    found = _chosen(path, images_per_prompt=2, n=2)
    assert [text for text, _ in _seeds(found)] == ["a ring", "a ring", "a star", "a star"]
    assert found.first(1).rows == found.rows, "each category stays"
    alike = _chosen(
        _file(tmp_path, *(row | {"category": "a"} for row in ROWS)), images_per_prompt=2
    )
    assert alike.first(2).rows == alike.rows[:4]
    assert alike.first(3).rows == alike.rows
    with pytest.raises(InputError, match="has 3 rows, and the protocol asks for 4"):
        _chosen(path, images_per_prompt=2, n=4)


def test_a_protocol_may_set_a_sets_own_seeds_aside(tmp_path: Path) -> None:
    path = _file(tmp_path, *ROWS)
    found = read(path, seeding="protocol", seed=7)
    # Rows of one text have as many seeds as before, in the order of their own.
    assert _seeds(found) == [
        ("a ring", derived(7, "a ring", 1)),
        ("a star", derived(7, "a star")),
        ("a ring", derived(7, "a ring")),
    ]
    assert [row.categories for row in found.rows] == [("a",), ("b",), ("b",)]
    other = read(path, seeding="protocol", seed=8)
    assert not set(_seeds(other)) & set(_seeds(found))
    both = _chosen(path, seeding="protocol", seed=7, images_per_prompt=2)
    assert _seeds(both)[::2] == _seeds(found)
    assert len(set(_seeds(both))) == 6
    turned = read(_file(tmp_path, *ROWS[::-1]), seeding="protocol", seed=7)
    assert turned.rows == found.rows[::-1]


def test_a_set_without_seeds_has_the_same_either_way(tmp_path: Path) -> None:
    path = visu(tmp_path)
    assert read(path).rows == read(path, seeding="protocol").rows


def test_one_prompt_and_seed_twice_is_refused_whatever_the_seeding(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds one prompt and seed twice, in lines 1 and 2"):
        read(_file(tmp_path, ROWS[0], ROWS[0]), seeding="protocol")


@pytest.mark.parametrize(
    ("key", "value"), [("images_per_prompt", 0), ("images_per_prompt", True), ("seeding", "random")]
)
def test_other_values_are_refused(key: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        settings(**{key: value})


def test_a_prompt_alone_is_unchanged_by_one_image() -> None:
    rows = (Prompt("a", 1),)
    assert PromptSet(Path("set.jsonl"), rows).chosen(settings()).rows == rows
