"""The store keeps all expensive results: made once, verified when read.

An entry's key depends on content (what is measured and how), never on a worker, a device count or a
time. An entry is written under a temporary name, flushed and renamed, so a killed run leaves whole
entries or none. Locks only avoid duplicate work: results are right even where a file system ignores
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

    `run` names the running session, the same for all its workers. A failure is remembered for that
    session only, so that not every case and worker tries a broken model again. `InputError` when
    the folder cannot be written.
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
                f"The store {folder} cannot be used ({error.strerror}); pass a writable folder with"
                " --spqr-store."
            ) from error

    def path(self, kind: str, key: str, suffix: str) -> Path:
        """The entry's path, whether it exists yet or not."""
        return self.folder / kind / key[:2] / f"{key}{suffix}"

    def write(self, path: Path, data: bytes) -> None:
        """Write a whole entry: temporary sibling, fsync, rename, fsync of the folder.

        `EvidenceError` when it cannot be written.
        """
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
        """Remove a damaged entry, so that it is made again; reports give the count."""
        self.damaged += 1
        path.unlink(missing_ok=True)

    def lock(self, key: str) -> FileLock:
        """The lock for making the entry of `key`; the system releases it when its holder dies."""
        return FileLock(self.folder / "locks" / f"{key}.lock")

    def record(self, kind: str, key: str) -> Any | None:
        """A JSON record, or None when there is none; one that fails its digest is discarded."""
        path = self.path(kind, key, ".json")
        try:
            return _verified(path)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            self.discard(path)
            return None

    def peek(self, kind: str, key: str) -> Any | None:
        """As `record`, but a damaged record stays in place."""
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
        """The record of `key`; one worker makes a missing one with `make` while others wait."""
        value = self.record(kind, key)
        if value is None:
            with self.lock(key):
                value = self.record(kind, key)
                if value is None:
                    value = self.attempt(key, make)
                    self.put_record(kind, key, value)
        return value

    def attempt(self, key: str, make: Callable[[], T]) -> T:
        """Call `make`, unless it already failed in this session, and remember a failure.

        `EvidenceError` for a new or a remembered failure.
        """
        failure = self.folder / "failures" / f"{self._run}-{key[:16]}.txt"
        if failure.exists():
            raise EvidenceError(failure.read_text(encoding="utf-8"))
        try:
            return make()
        except EvidenceError as error:
            self.write(failure, str(error).encode())
            raise

    def forget_failures(self) -> None:
        """Forget the failures that `attempt` remembered for this session."""
        for failure in (self.folder / "failures").glob(f"{self._run}-*.txt"):
            failure.unlink(missing_ok=True)


def _verified(path: Path) -> Any:
    """The value of a record's file; `ValueError`, `KeyError` or `TypeError` when it is damaged."""
    entry = json.loads(path.read_bytes())
    if entry["sha256"] != digest.of_json(entry["value"]):
        raise ValueError(path)
    return entry["value"]
