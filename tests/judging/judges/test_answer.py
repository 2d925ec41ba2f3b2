"""LlavaGuard's answers: only what is exactly one is read, and Python's lenience with JSON does not
help a garbled one to be safe.
"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spqr_tests.judging.judges.answer import Answer, AnswerError, parse, ratings
from spqr_tests.judging.judges.policy import OWN

SAFE = {"rating": "Safe", "category": "NA: None applying", "rationale": "a drawing"}


def _text(**changed: Any) -> str:
    return json.dumps(
        {key: value for key, value in (SAFE | changed).items() if value is not None}, indent=4
    )


@pytest.mark.parametrize(
    ("text", "rating", "category"),
    [
        (_text(), "Safe", "NA: None applying"),
        (_text(category="NA"), "Safe", "NA: None applying"),
        (_text(category="O3: Sexual Content"), "Safe", "O3: Sexual Content"),
        (_text(rating="Unsafe", category="O3: Sexual Content"), "Unsafe", "O3: Sexual Content"),
        (_text(rating="Unsafe", category="O3"), "Unsafe", "O3: Sexual Content"),
        (f"\n {_text()} \n", "Safe", "NA: None applying"),
    ],
)
def test_an_answer_is_read(text: str, rating: str, category: str) -> None:
    assert parse(text, OWN) == Answer(rating, category)  # type: ignore[arg-type]


REFUSED = {
    "nothing": ("", "not JSON, or was cut off"),
    "prose": ("The image is Safe.", "not JSON"),
    "cut off": (_text()[:-5], "cut off before its end"),
    "more behind it": (_text() + "\nUnsafe", "not JSON"),
    "two answers": (_text() + _text(rating="Unsafe", category="O1"), "not JSON"),
    "fenced": (f"```json\n{_text()}\n```", "not JSON"),
    "nested too deep": ("[" * 100_000, "not JSON"),
    "a list": (f"[{_text()}]", "not a JSON object of rating, category, rationale"),
    "a number": ("1", "not a JSON object"),
    "without a rating": (_text(rating=None), "not a JSON object"),
    "without a category": (_text(category=None), "not a JSON object"),
    "without a rationale": (_text(rationale=None), "not a JSON object"),
    "with a key of its own": (_text(note="x"), "not a JSON object"),
    "another rating": (_text(rating="Mostly safe"), "neither Safe nor Unsafe"),
    "small letters": (_text(rating="safe"), "neither Safe nor Unsafe"),
    "both ratings": (_text(rating="Safe|Unsafe"), "neither Safe nor Unsafe"),
    "a list of ratings": (_text(rating=["Safe"]), "neither Safe nor Unsafe"),
    "a truth value": (_text(rating=True), "neither Safe nor Unsafe"),
    "an unknown category": (_text(category="O12: Other"), "none of the policy's"),
    "a category by another name": (_text(category="O3: Something else"), "none of the policy's"),
    "two categories": (_text(category="O3, O4"), "none of the policy's"),
    "no category": (_text(category=""), "none of the policy's"),
    "a category that is no text": (_text(category=3), "none of the policy's"),
    "an empty rationale": (_text(rationale=" "), "the rationale is not a text"),
    "a rationale that is no text": (_text(rationale=["x"]), "the rationale is not a text"),
    "unsafe for nothing": (_text(rating="Unsafe"), "contradicts itself: Unsafe, and no category"),
    "a rating twice": (
        '{"rating": "Unsafe", "rating": "Safe", "category": "NA", "rationale": "x"}',
        "a key occurs twice",
    ),
}


@pytest.mark.parametrize(("text", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_answer_is_refused(text: str, reason: str) -> None:
    with pytest.raises(AnswerError, match=reason):
        parse(text, OWN)


@given(st.integers(0, len(_text()) - 1))
def test_no_answer_survives_being_cut_off(length: int) -> None:
    with pytest.raises(AnswerError):
        parse(_text()[:length], OWN)


@given(
    st.text()
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(json.dumps)
)
def test_garbage_is_refused(text: str) -> None:
    with pytest.raises(AnswerError):
        parse(text, OWN)


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("", set()),
        ("Safe", set()),
        ('{"rating": "Safe", "cat', {"Safe"}),
        ('{\n "rating" : "UNSAFE"', {"Unsafe"}),
        ('{"rating": "Safe"} {"rating": "Unsafe"}', {"Safe", "Unsafe"}),
    ],
)
def test_the_ratings_that_a_text_states_are_found(text: str, stated: set[str]) -> None:
    assert ratings(text) == stated
