"""The store keeps all expensive results: made once, verified when read.

An entry's key depends on content (what is measured and how), never on a worker, a device count or a
time. It is inside of the entry's digest, so that no other entry can take its place. An entry is
written under a temporary name, flushed and renamed: a killed run leaves whole entries or none.
Locks only avoid duplicate work: results are right even where a file system ignores them. A store
that holds everything is only read.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from spqr_tests.errors import (
    BrokenModelError,
    DivergedError,
    EvidenceError,
    InputError,
    place_of,
)
from spqr_tests.store import entry
from spqr_tests.store.disk import Disk
from spqr_tests.store.entry import DamagedError
from spqr_tests.store.lock import Lock

T = TypeVar("T")
LAYOUT = f"v{entry.SCHEMA}"
"""The folder of entries; those of earlier versions are elsewhere and stay as they are."""
_KINDS = (DivergedError, BrokenModelError, EvidenceError, InputError)
"""What a failure may be, the narrower first."""


LOCKS, FAILURES = "locks", "failures"
"""Folders next to it."""


@dataclass(frozen=True)
class _Failure:
    """An error that is remembered: its kind, what it said, and where its cause arose."""

    kind: type[EvidenceError | InputError]
    said: str
    place: str

    def error(self) -> Exception:
        """The error anew."""
        made = self.kind(self.said)
        vars(made)["place"] = self.place
        return made

    def to_json(self) -> str:
        """For other workers."""
        return json.dumps([self.kind.__name__, self.said, self.place], ensure_ascii=False)

    @classmethod
    def from_json(cls, data: bytes) -> "_Failure":
        """From `to_json`; `ValueError`, `TypeError` or `KeyError` for anything else."""
        kind, said, place = json.loads(data)
        return cls({one.__name__: one for one in _KINDS}[kind], str(said), str(place))


class Store:
    """A folder of evidence, shared by runs, workers and models.

    `run` names the running session, the same for all its workers. A failure is remembered for that
    session only, so that not every case and worker tries a broken model again. `tell` is called
    with a sentence when another process keeps this one waiting. `InputError` when the folder cannot
    be read or made.
    """

    def __init__(
        self, folder: Path, run: str, tell: Callable[[str], None] = lambda _: None
    ) -> None:
        self.folder = folder
        self.is_complete = False
        """Whether nothing may be added that takes a model (`--spqr-offline`)."""
        self.damaged = 0
        self.used: set[tuple[str, str, str]] = set()
        """Kind, key and suffix of the entries that this process read or wrote."""
        self.disk = Disk(folder)
        self._run = run
        self._tell = tell
        self._failures: dict[str, _Failure] = {}

    @property
    def entries(self) -> Path:
        """The folder of all entries."""
        return self.folder / LAYOUT

    def path(self, kind: str, key: str, suffix: str) -> Path:
        """The entry's path, whether it exists yet or not."""
        return self.entries / kind / key[:2] / f"{key}{suffix}"

    def named(self, path: Path) -> str:
        """A path below the store's folder as reports name it: where the store is says nothing."""
        return path.relative_to(self.folder).as_posix()

    def read(self, kind: str, key: str, suffix: str, opened: Callable[[bytes], T]) -> T | None:
        """What `opened` makes of an entry's bytes, or None when there is none.

        Where it raises `DamagedError`, the entry is set aside, so that it is made again.
        """

        def found(path: Path) -> T | None:
            data = self.disk.read(path)
            return None if data is None else opened(data)

        return self._taken(kind, key, suffix, found)

    def load(self, kind: str, key: str, suffix: str, opened: Callable[[Path], T]) -> T | None:
        """As `read`, for entries that are too large to be read into memory at once."""
        return self._taken(
            kind, key, suffix, lambda path: opened(path) if self.disk.has_file(path) else None
        )

    def _taken(
        self, kind: str, key: str, suffix: str, found: Callable[[Path], T | None]
    ) -> T | None:
        path = self.path(kind, key, suffix)
        try:
            taken = found(path)
        except DamagedError:
            self.set_aside(path)
            return None
        if taken is not None:
            self.used.add((kind, key, suffix))
        return taken

    def fill(self, kind: str, key: str, suffix: str, write: Callable[[Path], object]) -> None:
        """Have `write` write a whole entry; `EvidenceError` when it cannot be written."""
        self.disk.fill(self.path(kind, key, suffix), write)
        self.used.add((kind, key, suffix))

    def remove(self, kind: str, key: str, suffix: str) -> None:
        """Remove an entry that nobody needs any more."""
        with suppress(OSError):
            self.path(kind, key, suffix).unlink(missing_ok=True)
        self.used.discard((kind, key, suffix))

    def put(self, kind: str, key: str, suffix: str, data: bytes) -> None:
        """Write a whole entry; `EvidenceError` when it cannot be written."""
        self.fill(kind, key, suffix, lambda path: path.write_bytes(data))

    def set_aside(self, path: Path) -> None:
        """Move a damaged entry away; reports give the count."""
        self.damaged += 1
        self.disk.set_aside(path)

    def lock(self, key: str) -> Lock:
        """The lock for making the entry of `key`; the system releases it when its holder dies."""
        folder = self.folder / LOCKS
        with suppress(OSError, EvidenceError):  # without it there is no lock
            self.disk.make_folder(folder)
        return Lock(folder / f"{key}.lock", self.disk.file_mode, self._tell)

    def record(self, kind: str, key: str) -> Any | None:
        """A JSON record, or None when there is none; a damaged one is set aside."""
        return self.read(kind, key, ".json", lambda data: record_in(data, kind, key))

    def peek(self, kind: str, key: str) -> Any | None:
        """As `record`, but a damaged record stays in place."""
        try:
            data = self.disk.read(self.path(kind, key, ".json"))
            return None if data is None else record_in(data, kind, key)
        except DamagedError:
            return None

    def put_record(self, kind: str, key: str, value: Any, **about: Any) -> None:
        """Store a JSON value; `about` says for people whose it is, and what made it."""
        self.put(kind, key, ".json", _bytes(entry.sealed(kind, key, value=value, **about)))

    def once(self, kind: str, key: str, make: Callable[[], Any]) -> Any:
        """The record of `key`; one worker makes a missing one with `make` while others wait."""
        found = self.record(kind, key)
        if found is None:
            with self.lock(key):
                found = self.record(kind, key)
                if found is None:
                    found = self.attempt(key, make)
                    self.put_record(kind, key, found)
        return found

    def require_more(self, what: str) -> None:
        """`EvidenceError` where nothing may be added; `what` is what the store lacks."""
        if self.is_complete:
            raise EvidenceError(
                f"--spqr-offline: the store lacks {what}. Make it by the same command with"
                " --spqr-shard 1/1 in place of --spqr-offline, and run this again."
            )

    def attempt(self, key: str, make: Callable[[], T]) -> T:
        """Call `make`, unless it already failed in this session, and remember a failure.

        `EvidenceError` or `InputError` for a new or a remembered failure.
        """
        failed = self._failures.get(key) or self._failed_elsewhere(key)
        if failed is not None:
            raise failed.error()
        try:
            return make()
        except (EvidenceError, InputError) as error:
            kind = next(one for one in _KINDS if isinstance(error, one))
            failed = self._failures[key] = _Failure(kind, str(error), place_of(error))
            with suppress(EvidenceError, UnicodeEncodeError):  # it is for the other workers
                self.disk.write(self._failure(key), failed.to_json().encode())
            raise

    def _failed_elsewhere(self, key: str) -> "_Failure | None":
        try:
            data = self.disk.read(self._failure(key))
            return None if data is None else _Failure.from_json(data)
        except (DamagedError, ValueError, TypeError, KeyError):
            return None

    def _failure(self, key: str) -> Path:
        return self.folder / FAILURES / f"{self._run}-{key[:16]}.json"

    def forget_failures(self) -> None:
        """Forget the failures that `attempt` remembered for this session."""
        self._failures.clear()
        with suppress(OSError):
            for failure in (self.folder / FAILURES).glob(f"{self._run}-*.json"):
                failure.unlink(missing_ok=True)


def record_in(data: bytes, kind: str, key: str) -> Any:
    """The value of a record's bytes; `DamagedError` unless they are the record of this entry."""
    try:
        table = json.loads(data)
        same = _bytes(table) == data
    except (ValueError, RecursionError) as error:
        raise DamagedError("it is not JSON") from error
    if not same:
        raise DamagedError("it is not as it was written")
    found = entry.opened(table, kind, key)
    if found.get("value") is None:
        raise DamagedError("it holds no value")
    return found["value"]


def _bytes(table: Any) -> bytes:
    return json.dumps(table, ensure_ascii=False, allow_nan=False).encode()
