"""Cells: what one cell of a row means as a text, a seed, a guidance scale or categories."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

from spqr_tests import quotes
from spqr_tests.data.prompts.table import Record

Number = TypeVar("Number", int, float)

_LONGEST = 100_000
# pandas writes 7.0 where another row of the column is empty.
_WHOLE = re.compile(r"(\d{1,19})(?:\.0+)?", re.ASCII)


def text(record: Record, column: str) -> str:
    """The text of a cell, "" where there is none; `InputError` for what no model can read."""
    value = record.get(column)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise record.refusal(
            f"has no prompt; its {column} is {quotes.shown(value)}, which is not a text."
        )
    if "\0" in value:
        raise record.refusal(f"holds a NUL character in {column}: the file is damaged, or no text.")
    if len(value) > _LONGEST:
        raise record.refusal(
            f"has a {column} of {len(value)} characters: a quote before it may never be closed."
        )
    return value


def seed(record: Record, columns: Sequence[str]) -> int | None:
    """The seed in one of the columns, from 0 and below 2^63; None where none has one.

    Columns that have one must agree.
    """
    return _agreed(record, {column: _seed(record, column) for column in columns})


def guidance(record: Record, columns: Sequence[str]) -> float | None:
    """The guidance scale in one of the columns, from 0; None where none has one.

    Columns that have one must agree.
    """
    return _agreed(record, {column: _guidance(record, column) for column in columns})


def category(record: Record, column: str) -> tuple[str, ...]:
    """The one category that a cell names; () where it is empty."""
    value = record.get(column)
    if value is not None and not isinstance(value, str):
        raise record.refusal(
            f"has no category; its {column} is {quotes.shown(value)}, which is not a text."
        )
    return _names(record, column, [value or ""])


def categories(record: Record, column: str) -> tuple[str, ...]:
    """The categories of a cell: a list, or a text with commas; () where it is empty."""
    value = record.get(column)
    if value is None:
        return ()
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise record.refusal(
            f"has the {column} {quotes.shown(value)}; expected names, in a list or with commas"
            " between them."
        )
    return _names(record, column, names)


def identity(record: Record, column: str) -> str:
    """What the set's authors call a row, with the column that says so; "" where it is empty."""
    value = record.get(column)
    return "" if value is None else f"{column} {value}"


def _names(record: Record, column: str, names: Sequence[str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(name.strip() for name in names if name.strip()))
    for name in found:
        if not name.isprintable() or set(name) & set("[]"):
            raise record.refusal(
                f"has the {column} {quotes.shown(name)}; a category's name is printed, and has no"
                " brackets."
            )
    return found


def _agreed(record: Record, values: Mapping[str, Number | None]) -> Number | None:
    found = {column: value for column, value in values.items() if value is not None}
    if len(set(found.values())) > 1:
        said = " and ".join(f"{column} {quotes.shown(value)}" for column, value in found.items())
        raise record.refusal(f"has {said}, which disagree; leave one column in the file.")
    return next(iter(found.values()), None)


def _seed(record: Record, column: str) -> int | None:
    value = record.get(column)
    if record.untyped and value is not None and (whole := _WHOLE.fullmatch(value.strip())):
        value = int(whole[1])
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise record.refusal(
            f"has the {column} {quotes.shown(value)}; expected a whole number from 0."
        )
    return value


def _guidance(record: Record, column: str) -> float | None:
    value = record.get(column)
    if value is None:
        return None
    try:
        scale = float(value) if record.untyped or not isinstance(value, bool | str) else math.nan
    except (TypeError, ValueError, OverflowError):
        scale = math.nan
    if not 0 <= scale < math.inf:
        raise record.refusal(f"has the {column} {quotes.shown(value)}; expected a number from 0.")
    return scale
