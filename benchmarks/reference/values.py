"""What a key may hold, in words, from its JSON schema."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter

from benchmarks.reference.text import code
from spqr_tests.settings.table import Name

_BOUNDS = {
    "exclusiveMinimum": "above",
    "minimum": "from",
    "exclusiveMaximum": "below",
    "maximum": "to",
    "multipleOf": "in multiples of",
}
_FORMS = {TypeAdapter(Name).json_schema()["pattern"]: "name of small letters, digits and `_`"}
_PLAIN = {
    "string": "text",
    "boolean": "true or false",
    "number": "number",
    "integer": "whole number",
}
_WIDE = 2**53
"""Wider whole numbers are seeds, which a power of two says best."""


def allowed(schema: Mapping[str, Any]) -> str:
    """The type and bounds of a value; "" for a table, whose keys are said elsewhere."""
    match schema:
        case {"anyOf": [*either]}:
            return " or ".join(said for one in either if (said := allowed(one)))
        case {"type": "array" | "object"}:
            return _several(schema)
    return _one(schema)


def _one(schema: Mapping[str, Any]) -> str:
    match schema:
        case {"enum": [*values]}:
            return ", ".join(code(json.dumps(one)) for one in values)
        case {"const": value}:
            return code(json.dumps(value))
        case {"type": "integer" | "number" as kind}:
            return " ".join([_PLAIN[kind], *_bounds(schema)])
        case {"type": "string", "pattern": pattern}:
            return _FORMS.get(pattern, f"text of the form {code(pattern)}")
    return _PLAIN.get(schema.get("type", ""), "")


def _several(schema: Mapping[str, Any]) -> str:
    """A list, or a table of free names whose values are no tables."""
    match schema:
        case {"prefixItems": [first, *others]}:
            return f"list of {len(others) + 1}: {allowed(first)}"
        case {"items": items}:
            return f"list of: {allowed(items)}"
    inner = [*schema.get("patternProperties", {}).values()]
    inner += [one] if isinstance(one := schema.get("additionalProperties"), dict) else []
    said = allowed(inner[0]) if inner else ""
    return f"table of names, each with: {said}" if said else ""


def _bounds(schema: Mapping[str, Any]) -> Iterator[str]:
    if schema["type"] == "integer" and "exclusiveMinimum" in schema:
        schema = {**schema, "minimum": schema["exclusiveMinimum"] + 1}
        del schema["exclusiveMinimum"]
    for key, word in _BOUNDS.items():
        if key in schema:
            yield f"{word} {number(schema[key])}"


def number(value: float) -> str:
    """A bound as one would write it."""
    if isinstance(value, int) and abs(value) >= _WIDE:
        return f"{'-' if value < 0 else ''}2^{abs(value).bit_length() - 1}"
    return f"{value:,.0f}" if value == int(value) and abs(value) < _WIDE else f"{value:g}"


def stated(value: Any) -> str:
    """A default as a file would have it; "" for one that no file can state."""
    return "" if value is None else code(json.dumps(value, default=list))
