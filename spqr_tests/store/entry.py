"""Entries prove whose they are: schema, kind and key are inside of their digest."""

from collections.abc import Mapping
from typing import Any

from spqr_tests.store import digest

SCHEMA = 2
"""Of entries; raise it when what is in them changes its meaning."""


class DamagedError(ValueError):
    """What is in an entry's place is not the entry that was asked for: the reason, as a clause."""


def sealed(kind: str, key: str, **content: Any) -> dict[str, Any]:
    """A JSON table that says which entry it is, with a digest over everything in it."""
    table = {"schema": SCHEMA, "kind": kind, "key": key, **content}
    return {**table, "sha256": digest.of_json(table)}


def opened(table: Any, kind: str, key: str) -> Mapping[str, Any]:
    """What `sealed` made for this kind and key; `DamagedError` for anything else.

    A sound entry of another key in this one's place is as wrong as a damaged one.
    """
    if not isinstance(table, dict):
        raise DamagedError("it is not a table")
    content = {name: value for name, value in table.items() if name != "sha256"}
    try:
        found = digest.of_json(content)
    except (ValueError, RecursionError) as error:
        raise DamagedError("it is not JSON of the store's") from error
    if table.get("sha256") != found:
        raise DamagedError("it does not have the digest that it states")
    said = tuple(content.get(name) for name in ("schema", "kind", "key"))
    if said != (SCHEMA, kind, key):
        raise DamagedError(f"it is the entry {said[1]}/{str(said[2])[:12]} of schema {said[0]}")
    return content
