"""Protocol files: read from TOML, or refused with the key and what is allowed there."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from spqr_tests import files, quotes
from spqr_tests.errors import InputError
from spqr_tests.settings import recipes
from spqr_tests.settings.judges import JUDGES, judge_kinds
from spqr_tests.settings.prompts import Distance
from spqr_tests.settings.protocol import Protocol

_LONGEST_CHAIN = 16


def read(
    path: Path,
    packaged: Mapping[str, Path] | None = None,
    packaged_recipes: Mapping[str, Path] | None = None,
) -> Protocol:
    """Read a protocol file; `InputError` names the file, the key and what is allowed there.

    With `extends = "NAME"` the file states only what differs from another protocol: one of
    `packaged`, or a file next to it. A profile with `recipe = "NAME"` states only what differs from
    one of `packaged_recipes`.
    """
    table = _table(path, packaged or {}, ())
    try:
        return Protocol.model_validate(_with_recipes(table, path, packaged_recipes or {}))
    except ValidationError as error:
        raise InputError(f"The protocol {path}: {explain(error, Protocol)}") from error


def _table(path: Path, packaged: Mapping[str, Path], above: tuple[Path, ...]) -> dict[str, Any]:
    """The tables of a file, merged into those of the protocol that it extends."""
    expected = f"Expected a TOML file, or one of {', '.join(packaged)}." if packaged else ""
    table = files.toml(path, "The protocol", expected)
    _place_data(table, path.parent.absolute())
    extended = table.pop("extends", None)
    if extended is None:
        return table
    if not isinstance(extended, str) or (
        extended not in packaged and not extended.endswith(".toml")
    ):
        raise InputError(
            f"The protocol {path}: extends is {quotes.shown(extended)}; expected one of"
            f" {', '.join(packaged)}, or a .toml file next to it."
        )
    if len(above) >= _LONGEST_CHAIN:
        raise InputError(
            f"The protocol {path} is the {len(above) + 1}th that extends another; at most"
            f" {_LONGEST_CHAIN} are followed. Write what they state into fewer files."
        )
    base = packaged.get(extended) or path.parent / extended
    if base.resolve() in (one.resolve() for one in (*above, path)):
        raise InputError(f"The protocol {path}: extends {extended}, which extends it in turn.")
    inherited = _table(base, packaged, (*above, path))
    _require_own_anchors(path, extended, inherited, table)
    return _merged(inherited, table)


def _require_own_anchors(
    path: Path, extended: str, base: dict[str, Any], changes: dict[str, Any]
) -> None:
    """Refuse anchors that are numbers of another distance than the one that is stated."""
    old, new = (table.get("quality") for table in (base, changes))
    if not isinstance(old, dict) or not isinstance(new, dict) or "distance" not in new:
        return
    before = old.get("distance", "fid")
    # A distance that does not exist is refused as that.
    if new["distance"] == before or new["distance"] not in get_args(Distance):
        return
    numbers = [key for key in ("best", "worst") if not isinstance(old.get(key, ""), str)]
    for key in [*numbers, *(["anchors_source"] if numbers else [])]:
        if key not in new:
            raise InputError(
                f"The protocol {path}: quality.distance is {quotes.shown(new['distance'])}, but"
                f" quality.{key} is inherited from {extended}, where it is about"
                f" {quotes.shown(before)}; state best, worst and anchors_source of the new distance"
                " next to it."
            )


def _with_recipes(
    table: dict[str, Any], path: Path, packaged: Mapping[str, Path]
) -> dict[str, Any]:
    """The table with what the recipes of its profiles state."""
    profiles = table.get("profiles")
    if not isinstance(profiles, dict):
        return table
    resolved = {
        name: (
            _merged(recipes.read(one["recipe"], f"profiles.{name}", path, packaged), one)
            if isinstance(one, dict) and "recipe" in one
            else one
        )
        for name, one in profiles.items()
    }
    return {**table, "profiles": resolved}


def _place_data(table: dict[str, Any], folder: Path) -> None:
    """Make paths of data absolute.

    They are relative to the file that states them, whichever file extends it.
    """
    sets = table.get("data")
    for one in sets.values() if isinstance(sets, dict) else ():
        if isinstance(one, dict) and isinstance(one.get("path"), str):
            one["path"] = str(files.place(one["path"], folder))


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes` in it, table by table.

    A judge of another kind replaces the base's whole judge, and a profile of another recipe the
    base's whole profile. A budget of steps replaces one of
    epochs, and the other way round.
    """
    merged = dict(base)
    for stated, other in (("epochs", "steps"), ("steps", "epochs")):
        if stated in changes:
            merged.pop(other, None)
    for key, value in changes.items():
        old = merged.get(key)
        replaces = (
            isinstance(value, dict)
            and isinstance(old, dict)
            and any(one in value and value[one] != old.get(one) for one in ("kind", "recipe"))
        )
        merged[key] = (
            _merged(old, value)
            if isinstance(old, dict) and isinstance(value, dict) and not replaces
            else value
        )
    return merged


_PLAIN = {
    "tuple_type": "expected a list",
    "dict_type": "expected a table",
    "mapping_type": "expected a table",
    "model_type": "expected a table",
    "model_attributes_type": "expected a table",
}
"""What pydantic says of TOML's types in the words of Python."""


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """The first finding of a pydantic error as a sentence.

    It names the dotted key, what is wrong and what is allowed.
    """
    finding = error.errors(include_url=False)[0]
    # Pydantic adds parts to a location that are not keys of the file: a mark for keys, and the
    # judge's kind after judges.NAME.
    path = [quotes.cut(str(part)) for part in finding["loc"] if part != "[key]"]
    key = ".".join([*path[:2], *path[3:]] if path[:1] == ["judges"] else path)
    match finding["type"]:
        case "extra_forbidden":
            allowed = _allowed(model, path[:-1])
            near = difflib.get_close_matches(path[-1], allowed, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            return f"{key} is not a known key; allowed here are {', '.join(allowed)}{hint}."
        case "missing":
            return (
                f"{key} is missing; allowed keys here are {', '.join(_allowed(model, path[:-1]))}."
            )
        case "union_tag_invalid":
            return (
                f"{key}.kind is {quotes.shown(finding['ctx']['tag'])}, which is not a known judge;"
                f" known are {', '.join(judge_kinds())}."
            )
        case "union_tag_not_found":
            return f"{key}.kind is missing; it names the judge: {', '.join(judge_kinds())}."
        case _:
            given = finding["input"]
            found = "" if isinstance(given, dict) else f" (found {quotes.shown(given)})"
            said = _PLAIN.get(finding["type"], finding["msg"].removeprefix("Value error, "))
            return f"{key or 'the file'}: {said}{found}."


def _allowed(model: type[BaseModel], path: list[str]) -> list[str]:
    """The keys that the table at `path` may hold."""
    node: Any = Protocol.model_json_schema() if model is Protocol else model.model_json_schema()
    definitions = node.get("$defs", {})

    def resolved(schema: Any) -> Any:
        # Of a table that may be left out: the table.
        schema = schema.get("anyOf", [schema])[0]
        return definitions[schema["$ref"].rsplit("/", 1)[-1]] if "$ref" in schema else schema

    for part in path:
        node = resolved(_stated(node))
        if "oneOf" in node:
            node = JUDGES[part].model_json_schema()
            continue
        # The schema describes a table with free names as keys by the pattern of those names.
        named = [*node.get("patternProperties", {}).values(), node.get("additionalProperties", {})][
            0
        ]
        node = node.get("properties", {}).get(part, named)
        node = node.get("allOf", [node])[0]
    return sorted(resolved(_stated(node)).get("properties", {}))


def _stated(schema: Any) -> Any:
    """The schema of a table that may be left out, where it is not."""
    return next((one for one in schema.get("anyOf", ()) if "$ref" in one), schema)
