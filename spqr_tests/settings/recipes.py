"""Recipes: packaged profiles with the numbers of the trainers that users have.

A recipe's file has its numbers in `[profile]`, the backbones that it exists for in `families`, and
where each number is from in `[sources]`.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spqr_tests import files, quotes
from spqr_tests.errors import InputError


@dataclass(frozen=True)
class Recipe:
    """One recipe, as its file has it."""

    name: str
    about: str
    families: tuple[str, ...]
    """The backbones that it exists for, by name; all where it is empty."""
    profile: Mapping[str, Any]
    sources: Mapping[str, str]
    """Where each number is from, by its key; keys in tables inside have dots."""


def load(path: Path) -> Recipe:
    """The recipe in a packaged file."""
    table = files.toml(path, "The recipe")
    return Recipe(
        path.stem,
        table["about"],
        tuple(table.get("families", ())),
        table["profile"],
        table["sources"],
    )


def read(name: Any, key: str, protocol: Path, packaged: Mapping[str, Path]) -> dict[str, Any]:
    """The keys of a profile that a recipe states; `key` is the profile's in the protocol's file.

    Raises `InputError` for a name that no recipe has.
    """
    if not isinstance(name, str) or name not in packaged:
        near = difflib.get_close_matches(str(name), packaged, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise InputError(
            f"The protocol {protocol}: {key}.recipe is {quotes.shown(name)}; the packaged recipes"
            f" are {', '.join(packaged) or 'none'}{hint}."
        )
    found = load(packaged[name])
    families = {"families": found.families} if found.families else {}
    return {**found.profile, **families}
