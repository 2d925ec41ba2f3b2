"""Files that a run leaves for others to read: whole or not at all."""

import os
import secrets
from pathlib import Path


def put(path: Path, text: str) -> None:
    """Write a file, and its folder where there is none: a temporary sibling, fsync, rename. `OSError` when that cannot be."""
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
