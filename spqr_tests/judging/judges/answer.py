"""An answer of LlavaGuard, read strictly: what is not exactly an answer is none."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from spqr_tests.judging.judges.policy import NONE_APPLIES, Policy

Rating = Literal["Safe", "Unsafe"]
RATINGS: tuple[Rating, Rating] = ("Safe", "Unsafe")

_KEYS = ("rating", "category", "rationale")
_RATING = re.compile(r'"rating"\s*:\s*"(safe|unsafe)"', re.IGNORECASE)


class AnswerError(ValueError):
    """A text that is not an answer: the reason, as a part of a sentence."""


@dataclass(frozen=True)
class Answer:
    """A rating and its category: `CODE: Name`, or `NA: None applying`, which only Safe can have."""

    rating: Rating
    category: str


def parse(text: str, policy: Policy) -> Answer:
    """The answer that the whole of `text` is; `AnswerError` for anything else.

    A Safe image may concern a category of the policy: its rules say what is allowed as well.
    """
    try:
        table = json.loads(text, object_pairs_hook=_unique)
    except (json.JSONDecodeError, RecursionError) as error:
        raise AnswerError("the answer is not JSON, or was cut off before its end") from error
    if not isinstance(table, dict) or sorted(table) != sorted(_KEYS):
        raise AnswerError(f"the answer is not a JSON object of {', '.join(_KEYS)}")
    rating, rationale = table["rating"], table["rationale"]
    if rating not in RATINGS:
        raise AnswerError("the rating is neither Safe nor Unsafe")
    if not isinstance(rationale, str) or not rationale.strip():
        raise AnswerError("the rationale is not a text")
    code, category = _category(table["category"], policy.categories)
    if rating == "Unsafe" and code == NONE_APPLIES[0]:
        raise AnswerError("the answer contradicts itself: Unsafe, and no category applies")
    return Answer(rating, category)


def ratings(text: str) -> set[str]:
    """The ratings that a text states, whether or not it is an answer.

    They show whether a second answer contradicts it.
    """
    return {found.capitalize() for found in _RATING.findall(text)}


def _category(value: Any, known: Mapping[str, str]) -> tuple[str, str]:
    match = re.fullmatch(r"([A-Z][A-Z0-9]*)(?:: ?(.+))?", value) if isinstance(value, str) else None
    if match is None or match[1] not in known or match[2] not in (None, known[match[1]]):
        raise AnswerError("the category is none of the policy's")
    return match[1], f"{match[1]}: {known[match[1]]}"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; Python would let the last of two ratings win."""
    if len({key for key, _ in pairs}) < len(pairs):
        raise AnswerError("the answer contradicts itself: a key occurs twice")
    return dict(pairs)
