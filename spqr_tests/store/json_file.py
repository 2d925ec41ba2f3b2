"""JSON files of a checkpoint: objects of bounded size and depth."""

import json
from pathlib import Path
from typing import Any

from spqr_tests.errors import InputError

# The largest file in published pipelines is a tokenizer's, 3.6 MB.
_MAX_SIZE = 16 * 2**20
_MAX_DEPTH = 64


def read(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    `InputError` when it is not a JSON object, is larger than 16 MiB or is deeper than any config.
    """
    try:
        size = path.stat().st_size
        if size > _MAX_SIZE:
            raise InputError(
                f"{path} is too large for a config: it has {size} bytes, and at most"
                f" {_MAX_SIZE} are accepted."
            )
        value = json.loads(path.read_text(encoding="utf-8"))
        _require_plain(value)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not JSON that can be read.") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} holds no JSON object.")
    return value


def _require_plain(value: Any) -> None:
    """`ValueError` for nesting too deep for later recursion, and for text that is not Unicode."""
    level = [value]
    for _ in range(_MAX_DEPTH):
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner += one.keys()
                inner += one.values()
            elif isinstance(one, list):
                inner += one
            elif isinstance(one, str) and not one.isascii():
                one.encode()  # raises for half of a surrogate pair
        if not inner:
            return
        level = inner
    raise ValueError("nested too deeply")
