"""The store: where everything expensive is kept, made once, verified when read.

An entry's key is made of content (what is measured and how), never of a worker, a device count or a
time. An entry is written under a temporary name, flushed and renamed, so a killed run leaves whole
entries or none; locks only avoid duplicate work, and nothing goes wrong where a file system ignores
them.
"""

import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.store import digest

T = TypeVar("T")


class Store:
    """A folder of evidence, shared by runs, workers and models.

    `run` names the running session (the same for all its workers): a failure is remembered for that
    session only, so that one broken model is not tried again by every case and every worker.
    """

    def __init__(self, folder: Path, run: str) -> None:
        self.folder = folder
        self.damaged = 0
        self._run = run
        try:
            for name in ("locks", "failures"):
                (folder / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"The store {folder} cannot be used ({error.strerror}); pass a folder that can be"
                " written with --spqr-store."
            ) from error

    def path(self, kind: str, key: str, suffix: str) -> Path:
        """Where the entry lies or will lie."""
        return self.folder / kind / key[:2] / f"{key}{suffix}"

    def write(self, path: Path, data: bytes) -> None:
        """Put an entry in place, whole: temporary sibling, fsync, rename, fsync of the folder."""
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            if path.parent.is_dir():
                temporary.unlink(missing_ok=True)
            raise EvidenceError(f"The store could not write {path} ({error.strerror}).") from error
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def discard(self, path: Path) -> None:
        """Drop an entry that does not verify, so that it is made again; the count is reported."""
        self.damaged += 1
        path.unlink(missing_ok=True)

    def lock(self, key: str) -> FileLock:
        """The lock under which the entry of `key` is made; released by the system when its holder dies."""
        return FileLock(self.folder / "locks" / f"{key}.lock")

    def record(self, kind: str, key: str) -> Any | None:
        """A JSON record, or None when there is none or it does not match its digest; then it is discarded."""
        path = self.path(kind, key, ".json")
        try:
            return _verified(path)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            self.discard(path)
            return None

    def peek(self, kind: str, key: str) -> Any | None:
        """As `record`, and a damaged one stays."""
        try:
            return _verified(self.path(kind, key, ".json"))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def put_record(self, kind: str, key: str, value: Any) -> None:
        """Store a JSON value with its digest."""
        data = json.dumps(
            {"sha256": digest.of_json(value), "value": value}, ensure_ascii=False, allow_nan=False
        )
        self.write(self.path(kind, key, ".json"), data.encode())

    def once(self, kind: str, key: str, make: Callable[[], Any]) -> Any:
        """The record of `key`, made by `make` when it is not there, by one worker while the others wait."""
        value = self.record(kind, key)
        if value is None:
            with self.lock(key):
                value = self.record(kind, key)
                if value is None:
                    value = self.attempt(key, make)
                    self.put_record(kind, key, value)
        return value

    def attempt(self, key: str, make: Callable[[], T]) -> T:
        """Call `make`, unless it already failed in this session; remember its failure for the session."""
        failure = self.folder / "failures" / f"{self._run}-{key[:16]}.txt"
        if failure.exists():
            raise EvidenceError(failure.read_text(encoding="utf-8"))
        try:
            return make()
        except EvidenceError as error:
            self.write(failure, str(error).encode())
            raise

    def forget_failures(self) -> None:
        """Remove what `attempt` remembered for this session."""
        for failure in (self.folder / "failures").glob(f"{self._run}-*.txt"):
            failure.unlink(missing_ok=True)


def _verified(path: Path) -> Any:
    """The value of a record's file; `ValueError`, `KeyError` or `TypeError` when it is damaged."""
    entry = json.loads(path.read_bytes())
    if entry["sha256"] != digest.of_json(entry["value"]):
        raise ValueError(path)
    return entry["value"]
