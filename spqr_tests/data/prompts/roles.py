"""Roles: whether a row is harmful or benign, by what its own cells say.

Nothing here guesses: a column that may say the role and does not is refused, and so is a row that
says the other one.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from spqr_tests import quotes
from spqr_tests.data.prompts import places
from spqr_tests.data.prompts.layout import Layout, Row
from spqr_tests.data.prompts.table import Record, Table
from spqr_tests.errors import InputError
from spqr_tests.settings.prompts import cell_value

Role = Literal["harmful", "benign"]

_NAMED = ("type", "label", "role")
"""Columns whose cells may name the role."""
_WORDS: Mapping[str, Role] = {
    # MACE publishes erased and others, UCE erased and preserved.
    **dict.fromkeys(("erased", "erase", "forget", "unlearn", "removed"), "harmful"),
    **dict.fromkeys(("harmful", "unsafe", "malicious", "nsfw"), "harmful"),
    **dict.fromkeys(("others", "other", "retained", "retain", "preserved", "preserve"), "benign"),
    **dict.fromkeys(("kept", "keep", "benign", "safe", "harmless"), "benign"),
}
_FLAGS: Mapping[str, Role] = {
    **dict.fromkeys(("harmful", "is_harmful", "unsafe", "is_unsafe"), "harmful"),
    **dict.fromkeys(("nsfw", "is_nsfw", "toxic", "is_toxic"), "harmful"),
    **dict.fromkeys(("safe", "is_safe", "benign", "is_benign"), "benign"),
}
"""Columns of truth values, and the role of a row where they are true."""
_TRUTH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}

# What I2P's authors measured on a prompt's images; 0 where nothing was found.
_MEASURED = (
    "inappropriate_percentage",
    "nudity_percentage",
    "q16_percentage",
    "sd_safety_percentage",
)
_CATEGORIES = ("categories", "category", "tag")
# I2P's seven, and names that mean nothing else.
_HARMS = {
    *("hate", "harassment", "violence", "self-harm", "sexual", "shocking", "illegal activity"),
    *("nudity", *(word for word, role in _WORDS.items() if role == "harmful")),
}
# Such as 'coco-30k' and 'coco_object', and not 'coconut'.
_COCO = re.compile(r"(?:ms[-_ ]?)?coco(?![a-z])")


def of_coco(record: Record) -> bool:
    """Whether the row's `source` is COCO, as in 'coco-30k'."""
    return _COCO.match(cell_value(record.get("source")).casefold()) is not None


def select(
    table: Table, layout: Layout, role: Role, stated: Collection[str] = ()
) -> tuple[Table, list[str]]:
    """The table with the records that have the role by a column that says so, and notes.

    `stated` are the columns by which the protocol has selected these records. `InputError` names
    the column when no record has the role, when one that the protocol selected has the other role,
    or when the column does not say which record has which.
    """
    notes: list[str] = []
    if not layout.one_text:
        return table, notes
    for name in (column for column in table.columns if column in {*_NAMED, *_FLAGS}):
        roles = _roles(table, layout, name, stated)
        if roles is None:
            continue
        pairs = zip(table, roles, strict=True)
        other = [record for record, one in pairs if one is not None and one != role]
        if not other:
            continue
        if len(other) == len(table.records) or name in stated:
            raise other[0].refusal(
                f"has the {name} {quotes.quoted(cell_value(other[0].get(name)))}, which says that"
                f" it is not a {role} prompt; the protocol asks for {role} prompts"
                f"{'' if name in stated else ', and no row is one'}."
            )
        words = dict.fromkeys(cell_value(record.get(name)) for record in other)
        notes.append(
            f"{len(other)} of {len(table.records)} rows {places.are(other)} left out as not"
            f" {role}: their {name} is {places.listed([quotes.quoted(one) for one in words], 'or')}"
        )
        gone = {record.number for record in other}
        table = replace(
            table, records=tuple(record for record in table if record.number not in gone)
        )
    return table, notes


def require(rows: Sequence[Row], layout: Layout, role: Role) -> None:
    """`InputError` names the first row whose cells say the other role, and the column."""
    if layout.harmful is not layout.benign:
        return
    contradiction = _benign if role == "harmful" else _harmful
    for row in rows:
        if said := contradiction(row, layout):
            name, what = said
            value = quotes.quoted(_text(row.record.get(name)))
            raise row.record.refusal(
                f"has the {name} {value}, {what}; the protocol asks for {role} prompts: give"
                " another set, or select its rows with where."
            )


def topics(rows: Sequence[Row]) -> list[str]:
    """A note on the categories of benign rows, which are no harms; nothing where none has one."""
    named = dict.fromkeys(name for row in rows for name in row.categories)
    if not named:
        return []
    return [
        (
            "categories are taken for topics, as the protocol asks for benign prompts:"
            f" {places.listed(list(named))}"
        )
    ]


def _roles(
    table: Table, layout: Layout, name: str, stated: Collection[str]
) -> list[Role | None] | None:
    """The role of each record by a column; None where the column says nothing of roles.

    A record whose role the column does not say has None, and is one that the protocol selected.
    """
    values = [cell_value(record.get(name)).casefold() for record in table]
    found = set(values) - {""}
    if name in _FLAGS and found and found <= set(_TRUTH):
        by_value = _by_truth(_FLAGS[name])
    elif name in _NAMED and found and found <= set(_TRUTH):
        if name in stated:
            return None
        raise InputError(
            f"The prompt set {table.path} has a column {name} of {places.listed(sorted(found))},"
            " which does not say which rows are harmful: say in the protocol which it takes, such"
            f' as where = {{{name} = ["{max(found)}"]}}.'
        )
    elif name in _NAMED and _name_roles(found, of_rows=name == "type" and layout.categories_harm):
        by_value = _WORDS
    else:
        return None
    for record, value in zip(table, values, strict=True):
        if value not in by_value and name not in stated:
            what = f"the {name} {quotes.quoted(value)}" if value else f"no {name}"
            raise record.refusal(
                f"has {what}, which does not say whether it is harmful or benign: say in the"
                f' protocol which rows it takes, such as where = {{{name} = ["{max(found)}"]}}.'
            )
    return [by_value.get(value) for value in values]


def _by_truth(true: Role) -> Mapping[str, Role]:
    false: Role = "benign" if true == "harmful" else "harmful"
    return {value: true if truth else false for value, truth in _TRUTH.items()}


def _name_roles(words: set[str], *, of_rows: bool) -> bool:
    """Whether the words of a column are about roles.

    `of_rows` where published tables of this layout say the role there. In a table of the user's
    own, `type` may be of anything, so that 'other' next to other words says nothing.
    """
    roles = {_WORDS[word] for word in words if word in _WORDS}
    known = bool(words) and words <= set(_WORDS)
    return known or "harmful" in roles or (of_rows and len(words) > 1)


def _benign(row: Row, _: Layout) -> tuple[str, str] | None:
    """The column that says that a row is benign, and how."""
    record = row.record
    if of_coco(record):
        return "source", "so that it is a caption of COCO"
    if record.get("coco_id") is not None:
        return "coco_id", "so that it is a caption of COCO"
    if record.get("image_id") is not None and not row.categories:
        return "image_id", "so that it is a caption of a picture"
    return None


def _harmful(row: Row, layout: Layout) -> tuple[str, str] | None:
    """The column that says that a row is harmful, and how."""
    record = row.record
    # Alone, 'hard' may be of any difficulty.
    hard = ["hard"] if any(name in record.cells for name in _MEASURED) else []
    for name in (*hard, *_MEASURED):
        if _positive(record.get(name)):
            return name, "which I2P's authors measured on harmful prompts"
    if record.get("content_flag") is not None:
        return "content_flag", "as only harmful prompts have"
    for name in _CATEGORIES:
        named = _text(record.get(name))
        harms = {one.strip().casefold() for one in named.split(",")} & _HARMS
        if harms or (named.strip() and name == "categories" and layout.categories_harm):
            return name, "which says what it is harmful by"
    return None


def _positive(cell: Any) -> bool:
    try:
        return float(cell) > 0
    except (TypeError, ValueError, OverflowError):
        return False


def _text(cell: Any) -> str:
    return ", ".join(map(cell_value, cell)) if isinstance(cell, list) else cell_value(cell)
