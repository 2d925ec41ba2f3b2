"""Folders of files in the store, such as pictures that were drawn or unpacked: made once, whole."""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from spqr_tests.store.store import Store


def kept(store: Store, kind: str, key: str, make: Callable[[Path], None]) -> Path:
    """The folder of `key`, which `make` fills (a new, empty folder) where the store lacks it.

    Its files are compared with their digests; a folder that differs in anything is set aside and
    made again. `EvidenceError` when it cannot be written.
    """
    folder = store.path(kind, key, "")
    if is_sound(store, kind, key):
        return folder
    with store.lock(key):
        if is_sound(store, kind, key):
            return folder
        if folder.is_symlink() or folder.exists():
            store.set_aside(folder)
        store.record(kind, key)  # sets it aside if it is damaged
        try:
            temporary = store.disk.temporary()
            store.disk.make_folder(temporary)
            store.disk.make_folder(folder.parent)
            try:
                make(temporary)
                store.disk.share(temporary)
                value = _digests(temporary)
                move(temporary, folder)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        except OSError as error:
            raise store.disk.refused(folder, error) from error
    store.put_record(kind, key, value)
    store.used.add((kind, key, ""))
    return folder


def contents(store: Store, kind: str, key: str) -> dict[str, str]:
    """SHA-256 (hex) of each file of a folder that `kept` gave, by its path in the folder."""
    found: dict[str, str] = store.peek(kind, key) or {}
    return found


def move(temporary: Path, folder: Path) -> None:
    """Give a whole folder its place, unless another worker has; `OSError` when that fails."""
    try:
        temporary.rename(folder)
    except OSError as error:
        if folder.is_dir():
            return  # another worker has made it, where there are no locks
        if error.errno != errno.EXDEV:  # a kind's folder may be on another disk
            raise
        shutil.move(temporary, folder)


def is_sound(store: Store, kind: str, key: str) -> bool:
    """Whether a folder is there, with the files of its record and no others."""
    folder = store.path(kind, key, "")
    known = store.peek(kind, key)
    try:
        sound = known is not None and folder.is_dir() and bool(known == _digests(folder))
    except OSError:  # a pipe, or a file that cannot be read
        return False
    if sound:
        store.used.add((kind, key, ""))
    return sound


def _digests(folder: Path) -> dict[str, str]:
    """The digest of each file in a folder, and in the folders in it, by its path.

    Each process of a run reads all files of its sets, thousands of them. A `Path` for each would
    take longer than its digest, so paths stay strings.
    `OSError` for what is not a regular file.
    """
    found: dict[str, str] = {}
    folders = [("", str(folder))]
    while folders:
        within, path = folders.pop()
        with os.scandir(path) as entries:
            for entry in entries:
                name = within + entry.name
                if entry.is_symlink():
                    found[name] = "a link"
                elif entry.is_dir():
                    folders.append((f"{name}/", entry.path))
                elif entry.is_file():
                    with open(entry.path, "rb", buffering=0) as file:  # noqa: PTH123  as above
                        found[name] = hashlib.file_digest(file, "sha256").hexdigest()
                else:  # a pipe, which would wait for who writes to it
                    raise OSError(errno.EINVAL, "not a regular file", entry.path)
    return dict(sorted(found.items()))
