"""Files that are there whole or not at all: a temporary file, fsync, rename."""

import json
import os
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel


def fill(
    path: Path, write: Callable[[Path], object], temporary: Path, mode: int | None = None
) -> None:
    """Have `write` write `temporary`, a new file on the same disk, and give it its place.

    With `mode` it has these permissions, and none for others before that. `OSError` when it cannot
    be written; nothing is left then.
    """
    try:
        if mode is not None:
            os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        write(temporary)
        if mode is not None:
            with suppress(OSError):  # not every file system has permissions
                temporary.chmod(mode)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def put(path: Path, text: str) -> None:
    """Write a file for others to read, and make its folder if necessary.

    `OSError` when that is impossible.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}")
    fill(path, lambda place: place.write_text(text, encoding="utf-8"), temporary)


def put_lines(path: Path, lines: Iterable[bytes]) -> None:
    """As `put`, line by line."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def write(place: Path) -> None:
        with place.open("wb") as file:
            file.writelines(lines)

    fill(path, write, path.with_name(f".{path.stem}.{secrets.token_hex(4)}"))


def put_json(path: Path, content: BaseModel) -> None:
    """Write a model as JSON for people and pipelines to read, as `put` does."""
    value = content.model_dump(mode="json", by_alias=True)
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    put(path, f"{text}\n")


def put_bytes(path: Path, content: bytes) -> None:
    """As `put`, for bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}")
    fill(path, lambda place: place.write_bytes(content), temporary)
