"""The sweep: what dead runs left in a store is removed, when a run begins.

Only what has a name that the suite gives is touched: a store may be a folder in which its user
keeps a `tmp` with other things in it.
"""

import re
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from spqr_tests.store import disk
from spqr_tests.store.store import FAILURES, LOCKS, Store

_DAY = 86400.0
_FORGOTTEN = 7 * _DAY
"""Seconds after which what a process of another machine left belongs to nobody."""
_KEPT = 30 * _DAY
"""Seconds for which damaged entries are kept for who wants to look at them."""
_ENTRY = re.compile(r"[0-9a-f]{64}\.\w+")
"""A lock, or an entry."""
_FAILURE = re.compile(r"[A-Za-z0-9-]+\.\d+\.[0-9a-f]+-[0-9a-f]{16}\.json")


def sweep(store: Store, interrupted: Sequence[str] = ()) -> int:
    """Remove temporaries, failures and locks of dead runs; how many were removed.

    Nothing is removed that a living process of this machine may use, or a process of another
    machine may have used in the last week. Entries of the kinds `interrupted`, which only a run
    that was interrupted needs, go after a month. What cannot be removed stays.
    """
    folder, now = store.folder, time.time()

    def dead(path: Path) -> bool:
        runs = disk.alive(path.name.lstrip("."))
        return runs is False or (runs is None and _age(path, now) > _FORGOTTEN)

    def old(path: Path) -> bool:
        return _age(path, now) > _KEPT

    removed = _remove(_own(folder, disk.TEMPORARY), dead)
    removed += _remove(_own(folder, disk.ASIDE), old)
    removed += _remove(_named(folder / FAILURES, _FAILURE), dead)
    for kind in interrupted:
        for part in _listing(store.entries / kind):
            removed += _remove(_named(part, _ENTRY), old)
    for part in _elsewhere(store):
        hidden = (path for path in _listing(part) if path.name.startswith("."))
        removed += _remove((path for path in hidden if disk.is_own(path, disk.TEMPORARY)), dead)
    return removed + _remove(
        _named(folder / LOCKS, _ENTRY),
        lambda path: _age(path, now) > _DAY and store.lock(path.stem).try_acquire(),
    )


def _own(folder: Path, name: str) -> list[Path]:
    return [path for path in _listing(folder / name) if disk.is_own(path, name)]


def _named(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    return [path for path in _listing(folder) if pattern.fullmatch(path.name)]


def _elsewhere(store: Store) -> Iterable[Path]:
    """Folders of entries that are on another disk, whose temporaries are next to them."""
    with suppress(OSError):
        here = store.folder.stat().st_dev
        for kind in _listing(store.entries):
            if kind.is_dir() and kind.stat().st_dev != here:
                yield from _listing(kind)


def _remove(paths: Iterable[Path], chosen: Callable[[Path], bool]) -> int:
    count = 0
    for path in paths:
        with suppress(OSError):
            if chosen(path):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
                count += 1
    return count


def _listing(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _age(path: Path, now: float) -> float:
    return now - path.lstat().st_mtime
