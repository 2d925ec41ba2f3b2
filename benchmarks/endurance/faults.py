"""A pytest plugin (`-p benchmarks.endurance.faults`): the file system below a store fails.

`SPQR_FAULT` says how: `full:N` (the N-th write finds the disk full, and all after it), `read-only`,
`no-locks:NAME` (an error of that name), `no-op-locks`.
"""

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spqr_tests.store.disk import Disk
from spqr_tests.store.lock import Lock

_FAULT, _, _WITH = os.environ.get("SPQR_FAULT", "").partition(":")
_fill = Disk.fill
_count = 0


def _error(name: str) -> OSError:
    number = getattr(errno, name)
    return OSError(number, os.strerror(number))


def _full(disk: Disk, path: Path, write: Callable[[Path], object]) -> None:
    def half(temporary: Path) -> None:
        temporary.write_bytes(b"as far as there was room")
        raise _error("ENOSPC")

    global _count  # noqa: PLW0603  of a process
    _count += 1
    _fill(disk, path, write if _count < int(_WITH) else half)


def _read_only(disk: Disk, path: Path, write: Callable[[Path], object]) -> None:
    del write
    raise disk.refused(path, _error("EROFS"))


def _no_folder(disk: Disk, folder: Path) -> None:
    del disk
    if not folder.is_dir():
        raise _error("EROFS")


def _no_lock(*_: Any) -> None:
    raise _error(_WITH)


_REPLACED: dict[str, list[tuple[Any, str, Callable[..., Any]]]] = {
    "full": [(Disk, "fill", _full)],
    "read-only": [(Disk, "fill", _read_only), (Disk, "make_folder", _no_folder)],
    "no-locks": [(fcntl, "flock", _no_lock)],
    "no-op-locks": [(Lock, "try_acquire", lambda _: True)],
}
for _where, _name, _instead in _REPLACED.get(_FAULT, []):
    setattr(_where, _name, _instead)
