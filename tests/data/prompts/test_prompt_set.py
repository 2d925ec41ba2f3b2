"""Prompt sets: which rows a smaller run keeps, and what a digest covers."""

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies

from spqr_tests.data.prompts import Prompt, PromptSet
from spqr_tests.errors import InputError
from tests.data.prompts.published import settings


def _set(*categories: str) -> PromptSet:
    """A row for each text, whose letters are its categories."""
    return PromptSet(
        Path("set.jsonl"),
        tuple(Prompt(f"p{i}", i, tuple(letters)) for i, letters in enumerate(categories)),
    )


def _kept(found: PromptSet) -> list[int]:
    return [row.seed for row in found.rows]


@pytest.mark.parametrize(
    ("categories", "n", "kept"),
    [
        ("aaaabbbc", None, [0, 1, 2, 3, 4, 5, 6, 7]),
        ("aaaabbbc", 8, [0, 1, 2, 3, 4, 5, 6, 7]),
        ("aaaabbbc", 99, [0, 1, 2, 3, 4, 5, 6, 7]),
        ("aaaabbbc", 7, [0, 1, 2, 4, 5, 6, 7]),
        ("aaaabbbc", 5, [0, 1, 4, 5, 7]),
        ("aaaabbbc", 3, [0, 4, 7]),
        ("cbabca", 4, [0, 1, 2, 3]),
        ("ccba", 3, [0, 2, 3]),
    ],
)
def test_fewer_rows_come_from_the_categories_in_turn_and_in_the_order_of_the_file(
    categories: str, n: int | None, kept: list[int]
) -> None:
    assert _kept(_set(*categories).first(n)) == kept


@pytest.mark.parametrize("n", [1, 2])
def test_every_category_stays_even_when_fewer_rows_are_asked_for(n: int) -> None:
    assert _set(*"aaaabbbc").first(n).categories == ("a", "b", "c")


@given(
    strategies.lists(
        strategies.text("abcd", max_size=3).map(lambda letters: "".join(dict.fromkeys(letters)))
    ),
    strategies.integers(1, 9),
)
def test_rows_with_several_categories_stand_for_all_of_them(categories: list[str], n: int) -> None:
    whole = _set(*categories)
    kept = whole.first(n)
    assert kept.categories == whole.categories
    assert len(kept.rows) >= min(n, len(whole.rows))
    assert _kept(kept) == sorted(_kept(kept))
    assert len(kept.rows) <= max(n, len(whole.categories) + 1)


def test_categories_are_sorted_and_named_once() -> None:
    assert _set("c", "ab", "b", "", "ca").categories == ("a", "b", "c")


def test_rows_without_categories_are_the_first_of_the_file() -> None:
    assert _kept(_set(*[""] * 9).first(4)) == [0, 1, 2, 3]


# What a protocol asks for


def test_rows_of_some_categories_have_these_alone() -> None:
    found = _set("ab", "b", "c", "bc", "a").chosen(settings(categories=("b", "a")))
    assert [row.categories for row in found.rows] == [("a", "b"), ("b",), ("b",), ("a",)]
    assert _kept(found) == [0, 1, 3, 4]


def test_a_category_that_the_set_lacks_is_named_with_those_it_has() -> None:
    with pytest.raises(
        InputError, match=r"set\.jsonl has no category 'd'; its categories are a, b, c\."
    ):
        _set("a", "b", "c").chosen(settings(categories=("a", "d")))


@pytest.mark.parametrize("sample", [None, 42])
def test_more_rows_than_there_are_is_an_error(sample: int | None) -> None:
    whole = PromptSet(
        Path("set.jsonl"),
        _set("a", "ab", "c").rows,
        notes=("line 7 has no prompt and is left out",),
    )
    assert len(whole.chosen(settings(n=3, sample=sample)).rows) == 3
    with pytest.raises(
        InputError,
        match=r"has 3 rows, and the protocol asks for 4: give .* smaller n; line 7 has no prompt",
    ):
        whole.chosen(settings(n=4, sample=sample))
    with pytest.raises(
        InputError, match="has 1 rows of the categories b, and the protocol asks for 2"
    ):
        whole.chosen(settings(n=2, categories=("b",), sample=sample))


def test_a_sample_is_what_the_benchmarks_authors_draw_in_the_order_of_the_file() -> None:
    whole = _set(*["a"] * 511)
    random.seed(42)
    drawn = random.sample(whole.rows, 500)
    found = whole.chosen(settings(n=500, sample=42))
    assert set(found.rows) == set(drawn)
    assert _kept(found) == sorted(_kept(found))
    assert found == whole.chosen(settings(n=500, sample=42))
    assert found.digest != whole.chosen(settings(n=500, sample=43)).digest


def test_a_sample_of_no_stated_size_is_an_error() -> None:
    with pytest.raises(InputError, match="sample is 1 and n is missing"):
        _set("a", "b").chosen(settings(sample=1))


def test_drawing_leaves_the_programs_own_randomness_alone() -> None:
    random.seed(7)
    expected = random.getstate()
    _set(*"ab" * 9).chosen(settings(n=3, sample=1))
    assert random.getstate() == expected


# The digest


@pytest.mark.parametrize(
    "changed",
    [
        {"text": "b"},
        {"seed": 9},
        {"categories": ("b",)},
        {"categories": ("a", "b")},
        {"language": "fr"},
        {"guidance": 7.0},
    ],
    ids=str,
)
def test_the_digest_depends_on_every_part_of_a_row(changed: dict[str, Any]) -> None:
    plain: dict[str, Any] = {"text": "a", "seed": 1, "categories": ("a",), "language": "en"}
    one, other = (
        PromptSet(Path("set.jsonl"), (Prompt(**row),)) for row in (plain, plain | changed)
    )
    assert one.digest != other.digest


def test_the_digest_does_not_depend_on_the_file_and_where_a_row_stands_in_it() -> None:
    one = PromptSet(Path("one.jsonl"), (Prompt("a", 1, source="line 1"),))
    other = PromptSet(
        Path("two.csv"), (Prompt("a", 1, source="line 9"),), notes=("some",), layout="I2P"
    )
    assert one.digest == other.digest
