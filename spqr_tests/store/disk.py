"""The store's files, on whatever file system they are: read, written whole, moved, or a sentence.

The folder's own permissions decide those of everything in it: a store that is made here belongs to
its user alone, since unsafe pictures are kept in it, and one that a group made for itself
(`chmod 2770`) stays the group's.
"""

import errno
import os
import re
import secrets
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.store import whole_files
from spqr_tests.store.entry import DamagedError

TEMPORARY = "tmp"
ASIDE = "damaged"
"""Folders for what is not whole yet, and for what was damaged."""
_OWN_NAMES = {
    TEMPORARY: re.compile(r"\.?[A-Za-z0-9-]+\.\d+\.[0-9a-f]{12}"),
    ASIDE: re.compile(r"\S+\.[0-9a-f]{64}(\.\w+)?\.[0-9a-f]{8}"),
}
_ALONE = 0o700
_ABSENT = (errno.ENOENT, errno.ENOTDIR)
_REMEDY = "free space there, or pass another folder with --spqr-store"
_HINTS = {
    errno.EROFS: "it is read-only and lacks this; pass a folder that can be written",
    errno.EACCES: "this user may not write there; pass a folder that can be written",
    errno.EPERM: "this user may not write there; pass a folder that can be written",
}


class Disk:
    """The files below `folder`, which may be read-only, shared or full.

    `InputError` when it is neither a folder that can be read nor one that can be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        problem = None
        try:
            if not folder.exists():
                folder.parent.mkdir(parents=True, exist_ok=True)
                folder.mkdir(mode=_ALONE, exist_ok=True)
            elif not folder.is_dir():
                problem = "it is not a folder"
            elif not _may_be_read(folder):
                problem = "this user may not read it"
            self._mode = stat.S_IMODE(folder.stat().st_mode) | _ALONE
        except OSError as error:
            problem = str(error.strerror)
        if problem:
            raise InputError(
                f"The store {folder} cannot be used ({problem}); pass a folder of yours with"
                " --spqr-store."
            )

    @property
    def file_mode(self) -> int:
        """The permissions of files in the store."""
        return self._mode & 0o666

    def read(self, path: Path) -> bytes | None:
        """The bytes of a file, None where there is none; `DamagedError` for anything else there."""
        try:
            # A pipe must not be waited for.
            opened = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
            with os.fdopen(opened, "rb") as file:
                if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    return file.read()
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise DamagedError(f"it cannot be read ({error.strerror})") from error
        raise DamagedError("it is a pipe or a device")

    def has_file(self, path: Path) -> bool:
        """Whether there is a file that can be read; `DamagedError` for anything else there."""
        try:
            if path.is_file():
                path.open("rb").close()
                return True
            path.lstat()
        except OSError as error:
            if error.errno in _ABSENT:
                return False
            raise DamagedError(f"it cannot be read ({error.strerror})") from error
        raise DamagedError("it is not a file")

    def write(self, path: Path, data: bytes) -> None:
        """Write a whole file; `EvidenceError` when it cannot be written."""
        self.fill(path, lambda temporary: temporary.write_bytes(data))

    def fill(self, path: Path, write: Callable[[Path], object]) -> None:
        """Have `write` write a whole file, and flush its folder.

        What else is in its place is moved aside. `EvidenceError` when it cannot be written.
        """
        try:
            self.make_folder(path.parent)
            if path.is_dir():
                self.set_aside(path)
            temporary = self.temporary()
            # A kind's folder may be on another disk.
            if temporary.parent.stat().st_dev != path.parent.stat().st_dev:
                temporary = path.with_name(f".{temporary.name}")
            whole_files.fill(path, write, temporary, self.file_mode)
        except OSError as error:
            raise self.refused(path, error) from error
        sync_folder(path.parent)

    def refused(self, path: Path, error: OSError) -> EvidenceError:
        """Why a file could not be written, and what to do."""
        hint = _HINTS.get(error.errno or 0, _REMEDY)
        return EvidenceError(f"The store could not write {path} ({error.strerror}): {hint}.")

    def make_folder(self, folder: Path) -> None:
        """Make a folder of the store's, and those above it, with the store's permissions."""
        if folder.is_dir():
            return
        if folder != self.folder:
            self.make_folder(folder.parent)
        # Another worker may have made it just now.
        if (folder.is_symlink() or folder.exists()) and not folder.is_dir():
            self.set_aside(folder)
        folder.mkdir(mode=self._mode, exist_ok=True)
        with suppress(OSError):  # not every file system has permissions
            folder.chmod(self._mode)

    def temporary(self) -> Path:
        """A name for what is not whole yet; it says which process makes it."""
        folder = self.folder / TEMPORARY
        self.make_folder(folder)
        return folder / f"{owner()}.{secrets.token_hex(6)}"

    def set_aside(self, path: Path) -> None:
        """Move what is damaged out of the way, so that it is made again.

        `EvidenceError` when it cannot be moved.
        """
        aside = self.folder / ASIDE
        try:
            self.make_folder(aside)
            path.replace(aside / f"{path.parent.parent.name}.{path.name}.{secrets.token_hex(4)}")
        except FileNotFoundError:
            pass  # another worker has moved it
        except OSError as error:
            raise EvidenceError(
                f"{path} is damaged and cannot be moved out of the way ({error.strerror}): remove"
                " it, or pass another folder with --spqr-store."
            ) from error

    def share(self, tree: Path) -> None:
        """Give everything in a folder the store's permissions, and flush it to the disk.

        `OSError` when that fails.
        """
        for folder, _, names in os.walk(tree):
            for name in names:
                path = Path(folder, name)
                with suppress(PermissionError):
                    path.chmod(self.file_mode)
                with path.open("rb") as file:
                    os.fsync(file.fileno())
            with suppress(PermissionError):
                Path(folder).chmod(self._mode)
            sync_folder(Path(folder))


def _may_be_read(folder: Path) -> bool:
    as_who = {"effective_ids": True} if os.access in os.supports_effective_ids else {}
    return os.access(folder, os.R_OK | os.X_OK, **as_who)


def is_own(path: Path, folder: str) -> bool:
    """Whether a name is one that this module gives in `TEMPORARY` or `ASIDE`.

    A user may have a folder of that name, with other things in it.
    """
    return _OWN_NAMES[folder].fullmatch(path.name) is not None


def owner() -> str:
    """The running process: its machine and its number, as `alive` reads them."""
    host = "".join(one if one.isalnum() else "-" for one in socket.gethostname())[:64]
    return f"{host}.{os.getpid()}"


def alive(name: str) -> bool | None:
    """Whether the process that a name begins with runs; None when nobody here can say."""
    host, pid = [*name.split("."), ""][:2]
    if host != owner().split(".", maxsplit=1)[0] or not pid.isdigit():
        return None
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, where the file system can do so."""
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
