"""Locks avoid that two processes make the same entry; nothing depends on them.

Where a file system has none, both make it, and the second one's rename replaces the first one's
entry by its equal.
"""

import errno
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from spqr_tests.store.disk import owner

_POLL = 0.05
_PATIENCE = 60.0
"""Seconds of waiting after which the holder is named, and again after each further ones."""
_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


class Lock:
    """An advisory lock on a file; the system releases it when its holder dies.

    `tell` is called with a sentence when its holder does not let go for a minute.
    """

    def __init__(
        self, path: Path, mode: int, tell: Callable[[str], None], patience: float = _PATIENCE
    ) -> None:
        self._path = path
        self._mode = mode
        self._tell = tell
        self._patience = patience
        self._file: int | None = None

    def try_acquire(self) -> bool:
        """Take it without waiting: False while another process holds it.

        True too where there can be no lock: a file system without them, or a read-only one.
        """
        try:
            import fcntl
        except ImportError:  # not on Windows
            return True
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(file)
            return error.errno not in _HELD
        self._file = file
        with suppress(OSError):
            os.fchmod(file, self._mode)
            os.ftruncate(file, 0)
            os.pwrite(file, owner().encode(), 0)
        return True

    def release(self) -> None:
        """Give it back."""
        if self._file is not None:
            # To remove the file would let two others hold two files of one name.
            os.close(self._file)
            self._file = None

    def __enter__(self) -> None:
        """Wait for it."""
        began = told = time.monotonic()
        while not self.try_acquire():
            time.sleep(_POLL)
            now = time.monotonic()
            if now - told >= self._patience:
                told = now
                self._tell(f"waiting since {now - began:.0f} s for {self.holder} to finish")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give it back."""
        self.release()

    @property
    def holder(self) -> str:
        """The process that holds it, as far as the file says."""
        try:
            host, _, pid = self._path.read_text(encoding="utf-8").rpartition(".")
        except (OSError, ValueError):
            host = pid = ""
        return f"process {pid} on {host}" if host and pid else "another process"
