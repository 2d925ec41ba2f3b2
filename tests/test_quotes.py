"""Quotes: short, whatever is quoted."""

import pytest

from spqr_tests import quotes
from spqr_tests.errors import EvidenceError, InputError


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("a", "'a'"),
        ("x" * 61, f"'{'x' * 60}...'"),
        (3, "3"),
        (True, "True"),
        (None, "None"),
        (1e300, "1e+300"),
        ([10**5000], "[a number of 16610 bits]"),
        ([1, "a"], "[1, 'a']"),
        ((1,), "(1,)"),
        ({"a": [1]}, "{'a': [1]}"),
        ({}, "{}"),
        (list(range(10)), "[0, 1, 2, 3, 4, 5, ...]"),
        ([[[1]]], "[[[...]]]"),
        ([[1], {"a": {"b": {}}}], "[[1], {'a': {...}}]"),
    ],
)
def test_a_value_is_shown_as_python_writes_it(value: object, said: str) -> None:
    assert quotes.shown(value) == said


@pytest.mark.parametrize(
    "value",
    [
        "x" * 10**6,
        ["x" * 10**6] * 10,
        {"x" * 10**6: 1},
        b"x" * 10**6,
        [10**5000],
        list(range(10**6)),
    ],
)
def test_what_has_no_end_is_cut(value: object) -> None:
    assert len(quotes.shown(value)) <= quotes.LONGEST + 5


def test_a_value_without_a_bottom_is_shown() -> None:
    deep: list[object] = []
    for _ in range(10**5):
        deep = [deep]
    assert quotes.shown(deep) == "[[[...]]]"


@pytest.mark.parametrize("error", [InputError, EvidenceError])
def test_a_message_has_an_end_whatever_is_quoted_in_it(error: type[Exception]) -> None:
    said = str(error(f"The file {'x' * 10**6} is missing; fetch it again."))
    assert len(said) < 8100
    assert said.startswith("The file x")
    assert said.endswith("x is missing; fetch it again.")
    assert str(error("The file is missing.")) == "The file is missing."


def test_a_name_is_shown_to_its_end_where_it_has_one() -> None:
    name = "down_blocks.0." * 6 + "weight"
    assert quotes.named(name) == repr(name)
    assert quotes.named("x" * 10**6) == f"'{'x' * 200}[...]'"
    assert quotes.named(3) == "3"
