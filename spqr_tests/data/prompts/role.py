"""Roles: whether a row is a harmful or a benign prompt, where the file says so.

The protocol states the role of a set. Columns that contradict it are refused, and columns that
divide a set leave out the rows of the other role.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from spqr_tests.data.prompts.layout import Layout
from spqr_tests.data.prompts.notes import Notes
from spqr_tests.data.prompts.table import Record, Table
from spqr_tests.errors import InputError

Role = Literal["harmful", "benign"]

_WORDS: dict[str, Role] = {
    # MACE, UCE and those after them divide the concepts of one table by these.
    **dict.fromkeys(("erased", "erase", "target", "forget", "unlearned"), "harmful"),
    **dict.fromkeys(("others", "other", "retained", "retain", "preserved", "preserve"), "benign"),
    **dict.fromkeys(("kept", "keep", "remain", "remained", "remaining"), "benign"),
    **dict.fromkeys(("harmful", "unsafe", "nsfw", "malicious", "toxic"), "harmful"),
    **dict.fromkeys(("benign", "safe", "sfw", "harmless", "clean"), "benign"),
}
_WORDED = ("type", "role", "label")
"""Columns whose words may be roles."""
_FLAGS: dict[str, Role] = {
    **dict.fromkeys(("harmful", "is_harmful", "unsafe", "is_unsafe", "nsfw", "is_nsfw"), "harmful"),
    **dict.fromkeys(("benign", "is_benign", "safe", "is_safe"), "benign"),
}
"""Columns that may say yes or no, and the role of a row with a yes."""
_YES_OR_NO = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
_OTHER: dict[Role, Role] = {"harmful": "benign", "benign": "harmful"}

_HARM = (
    "hard",
    "inappropriate_percentage",
    "nudity_percentage",
    "q16_percentage",
    "sd_safety_percentage",
    "prompt_toxicity",
    "content_flag",
)
"""Columns of I2P and Ring-A-Bell that only harmful prompts have."""
_CATEGORIES = ("categories", "category", "tag")
# https://huggingface.co/datasets/AIML-TUDA/i2p
_I2P = {"hate", "harassment", "violence", "self-harm", "sexual", "shocking", "illegal activity"}
_COCO = re.compile(
    r"(ms[-_ ]?)?coco([-_ ]?(20\d\d|\d+k|val|train|test|captions?))*", re.IGNORECASE | re.ASCII
)


def is_coco(record: Record) -> bool:
    """Whether a row says that it is a caption of COCO."""
    source = record.said("source")
    named = source is not None and _COCO.fullmatch(source) is not None
    return named or ("source" in record.cells and record.said("coco_id") is not None)


def of_role(table: Table, layout: Layout, role: Role, stated: Sequence[str], notes: Notes) -> Table:
    """The rows of one role; those of the other are left out and noted.

    `stated` are the columns by which the protocol selects rows. `InputError` names a column that
    says that the set is of the other role, or that does not say which rows are of which.
    """
    if (layout.harmful if role == "harmful" else layout.benign) is None:
        raise InputError(
            f"The prompt set {table.path} is {layout.name} by its {_columns(table, layout)}, which"
            f" holds {_OTHER[role]} prompts; the protocol asks for {role} ones."
        )
    for column in (*_WORDED, *_FLAGS):
        if column in table.columns and column not in layout.needs:
            table = _divided(table, column, role, column in stated, notes)
    if layout.either_role:
        for record in table:
            _require(record, layout, role)
    return table


def _columns(table: Table, layout: Layout) -> str:
    named = [one for one in table.columns if one in layout.known_by]
    said = " and ".join([", ".join(named[:-1]), named[-1]] if len(named) > 1 else named)
    return f"{'columns' if len(named) > 1 else 'column'} {said}"


def _divided(table: Table, column: str, role: Role, stated: bool, notes: Notes) -> Table:  # noqa: FBT001  a fact of the column, of one caller
    said = [(record, (record.said(column) or "").casefold()) for record in table]
    meanings: dict[str, Role] = _WORDS
    if column in _FLAGS:
        yes = _FLAGS[column]
        meanings = {word: yes if value else _OTHER[yes] for word, value in _YES_OR_NO.items()}
    values = {value for _, value in said}
    if not values & set(meanings):
        if not stated and column in _WORDED and values > {"0", "1"} or values == {"0", "1"}:
            if stated or column not in _WORDED:
                return table
            raise InputError(
                f"The prompt set {table.path} has rows whose {column} is 0 and rows where it is 1,"
                f" which does not say which are {role}: state it in the protocol, for example with"
                f' where = {{{column} = ["1"]}}.'
            )
        return table
    if column in _FLAGS and not values <= {*meanings, ""}:
        return table  # texts or numbers: not a flag
    kept: list[Record] = []
    others: dict[str, int] = {}
    for record, value in said:
        if value not in meanings:
            raise record.refusal(
                f"has the {column} {value!r}, which does not say whether it is harmful or benign,"
                f" as other rows do: correct it, or select rows in the protocol with where ="
                f' {{{column} = ["..."]}}.'
            )
        if meanings[value] == role:
            kept.append(record)
        else:
            others[value] = others.get(value, 0) + 1
    if not kept:
        raise InputError(
            f"The prompt set {table.path} has no {role} row: its column {column} says"
            f" {' or '.join(map(repr, sorted(others)))} in all {len(said)}; the protocol asks for"
            f" {role} prompts."
        )
    if others:
        count = sum(others.values())
        notes.left_out.append(
            f"{count} of {len(said)} rows {'is' if count == 1 else 'are'} left out as"
            f" {_OTHER[role]}: {column} is {' or '.join(sorted(others))}"
        )
    return replace(table, records=tuple(kept))


def _require(record: Record, layout: Layout, role: Role) -> None:
    """`InputError` when the row says that it is of the other role."""
    if role == "harmful":
        if is_coco(record):
            named = "source" if record.said("source") else "coco_id"
            raise _contradiction(record, named, role)
        return
    for column in _HARM:
        if record.said(column) is not None:
            raise _contradiction(record, column, role)
    for column in _CATEGORIES:
        value = record.get(column)
        names = value if isinstance(value, list) else str(value or "").split(",")
        found = [name.strip() for name in names if isinstance(name, str) and name.strip()]
        # In a file of the user's a category may be a topic, as in PartiPrompts.
        own = not layout.name or column != "categories"
        if any(not own or name.casefold() in _I2P for name in found):
            raise _contradiction(record, column, role)


def _contradiction(record: Record, column: str, role: Role) -> InputError:
    what = "a caption of COCO" if role == "harmful" else "a harmful prompt"
    return record.refusal(
        f"has the {column} {_short(record.get(column))}, as {what} has; the protocol asks for"
        f" {role} prompts. Give another set, or select other rows with `where`."
    )


def _short(value: object) -> str:
    said = repr(value)
    return said if len(said) <= 80 else f"{said[:80]}..."
