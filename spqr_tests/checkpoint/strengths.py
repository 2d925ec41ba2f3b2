"""Weights as options give them: a path, and after an '@' the strength that they are added with."""

import re
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from spqr_tests import files, quotes
from spqr_tests.errors import InputError

LEAST, MOST = 0.001, 10.0
"""The strengths that make a difference; below 0, what an adapter does is turned around."""

MERGE, PROMPT = "merge", "prompt"
"""What may follow the '@' of an adapter whose authors scale it by the prompt: that it is merged at
strength 1, or scaled.
"""

_NUMBER = re.compile(
    r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|nan|inf(?:inity)?)", re.IGNORECASE | re.ASCII
)
_MOST_PATHS = 32
"""More adapters than anybody stacks; the ways to join them grow with the square."""


@dataclass(frozen=True)
class Given:
    """A file or folder of weights, and the strength that it is added with."""

    path: Path
    strength: float = 1.0
    mode: str = ""
    """'merge' or 'prompt' where that follows the '@'; else ''."""


def one(text: str, where: Path, option: str) -> Given:
    """The weights that PATH, PATH@STRENGTH, PATH@merge or PATH@prompt names.

    PATH is relative to `where`.
    A name may hold an '@' itself: what is there as a whole is a path. `option` is the one that
    messages name. `InputError` for a strength that is none, and where both readings are there.
    Whether the path exists is for its reader to say.
    """
    what = f"{option}={text}"
    whole = files.place(text, where, option)
    named, at, strength = text.rpartition("@")
    if not at:
        return Given(whole)
    path = files.place(named, where, option)
    says = _says_how(strength)
    both = named and path.exists()
    if whole.exists():
        if says and both:
            raise InputError(
                f"{what}: both {named} and {text} are there, so {quotes.shown(strength)} may be a"
                f" strength or a part of the name; write {text}@1 for the second one, or rename it."
            )
        return Given(whole)
    if not says:
        if both:
            raise InputError(
                f"{what}: {quotes.shown(strength)} after the last @ is not a number; expected"
                f" PATH@STRENGTH, such as {named}@0.8, or of an SPM {named}@{MERGE}."
            )
        return Given(whole)
    if not named:
        raise InputError(f"{what}: there is no path before the @; expected PATH@STRENGTH.")
    if strength in (MERGE, PROMPT):
        return Given(path, mode=strength)
    return Given(path, _strength(strength, what))


def several(text: str, where: Path, option: str) -> list[Given]:
    """The weights that PATH@STRENGTH,PATH@STRENGTH,... names, in their order.

    A path may hold commas: the text is divided in the one way in which every path is there.
    `InputError` as from `one`, when there is no such way, and when there are several.
    """
    pieces, what = text.split(","), f"{option}={text}"
    if len(pieces) == 1:
        return [one(text, where, option)]
    if len(pieces) > _MOST_PATHS:
        raise InputError(
            f"{what}: {len(pieces)} paths between commas; at most {_MOST_PATHS} are added at once."
        )
    # For each end, the divisions of the text up to there; two are enough to see that it is unclear.
    divisions: list[list[list[str]]] = [[[]]]
    for end in range(1, len(pieces) + 1):
        found = [
            [*before, joined]
            for begin in range(end)
            if divisions[begin] and _stands(joined := ",".join(pieces[begin:end]), where, option)
            for before in divisions[begin]
        ]
        divisions.append(found[:2])
    if not divisions[-1]:
        missing = next((piece for piece in pieces if not _stands(piece, where, option)), text)
        raise InputError(
            f"{what}: there is no file or folder {quotes.shown(missing)}; expected PATH@STRENGTH,"
            " and more of them after commas."
        )
    if len(divisions[-1]) > 1:
        ways = " or ".join(" and ".join(division) for division in divisions[-1])
        raise InputError(f"{what} may mean {ways}; rename the one with a comma in its name.")
    return [one(piece, where, option) for piece in divisions[-1][0]]


def _stands(text: str, where: Path, option: str) -> bool:
    """Whether a text names something that is there, alone or with a strength after it."""
    named, at, strength = text.rpartition("@")
    if text and files.place(text, where, option).exists():
        return True
    says = at and named and _says_how(strength)
    return bool(says and files.place(named, where, option).exists())


def _says_how(text: str) -> bool:
    """Whether what follows an '@' may say how weights are added."""
    return text in (MERGE, PROMPT) or bool(_NUMBER.fullmatch(text))


def _strength(text: str, what: str) -> float:
    value = float(text)
    if not isfinite(value) or not LEAST <= abs(value) <= MOST:
        raise InputError(
            f"{what}: the strength {text} is not between {LEAST:g} and {MOST:g}, or the same below"
            " 0; 1 is the strength that an adapter was trained with."
        )
    return value
