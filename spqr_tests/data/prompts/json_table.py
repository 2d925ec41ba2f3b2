"""JSON and JSON Lines files: objects whose keys are the columns, or texts."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from spqr_tests.data.prompts.table import KEY, Record, Table, column
from spqr_tests.errors import InputError


def read(path: Path, text: str) -> Table:
    """The table in a JSON text.

    That is a list of objects or of prompts, an object whose values are rows (their column `KEY` is
    the key), or COCO's object with `annotations`.
    """
    try:
        value = _parsed(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and text.lstrip().startswith("{"):
            return read_lines(path, text)
        raise InputError(
            f"The prompt set {path} is not JSON (line {error.lineno}: {error.msg})."
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"The prompt set {path} is not JSON that can be read.") from error
    if isinstance(value, dict) and isinstance(value.get("annotations"), list):
        value = value["annotations"]
    elif isinstance(value, dict) and value and all(map(_has_prompt, value.values())):
        value = [{KEY: key, **row} for key, row in value.items()]
    elif isinstance(value, dict) and not any(isinstance(cell, dict) for cell in value.values()):
        value = [value]  # JSON Lines of one line
    if not isinstance(value, list):
        raise InputError(
            f"The prompt set {path} is a JSON object; expected a list of objects, or an object a"
            " line."
        )
    if value and all(isinstance(one, str) for one in value):
        value = [{"prompt": one} for one in value]
    return _table(path, "row", enumerate(value, 1))


def read_lines(path: Path, text: str) -> Table:
    """The table in a JSON Lines text; `InputError` names the line that is not a JSON object."""
    # splitlines would also split at characters that JSON allows within a string.
    return _table(path, "line", _lines(path, text))


def _has_prompt(value: Any) -> bool:
    return isinstance(value, dict) and "prompt" in map(column, value)


def _lines(path: Path, text: str) -> Iterable[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield number, _parsed(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"The prompt set {path}, line {number} is not JSON.") from error


def _table(path: Path, unit: str, values: Iterable[tuple[int, Any]]) -> Table:
    records = tuple(_record(path, unit, number, value) for number, value in values)
    columns = dict.fromkeys(name for record in records for name in record.cells)
    return Table(path, tuple(columns), records)


def _record(path: Path, unit: str, number: int, value: Any) -> Record:
    where = f"The prompt set {path}, {unit} {number}"
    if not isinstance(value, dict):
        raise InputError(f"{where} is not a JSON object with prompt and seed.")
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise InputError(f"{where} is nested too deeply.") from error
    except UnicodeEncodeError as error:
        raise InputError(
            f"{where} holds half a character (a lone surrogate), which no model can read."
        ) from error
    cells = {column(name): cell for name, cell in value.items()}
    if len(cells) < len(value):
        raise InputError(f"{where} names a column twice, in small and capital letters.")
    return Record(path, unit, number, cells)


def _parsed(text: str) -> Any:
    return json.loads(text, parse_constant=_refuse, object_pairs_hook=_once)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("one key twice")
    return found
