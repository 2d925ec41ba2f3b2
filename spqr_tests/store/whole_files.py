"""Files that a run writes for others to read: whole or not at all."""

import json
import os
import secrets
from pathlib import Path

from pydantic import BaseModel


def put(path: Path, text: str) -> None:
    """Write a file, and make its folder if necessary: temporary sibling, fsync, rename.

    `OSError` when that is impossible.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def put_json(path: Path, content: BaseModel) -> None:
    """Write a model as JSON for people and pipelines to read, as `put` does."""
    value = content.model_dump(mode="json", by_alias=True)
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    put(path, f"{text}\n")
