"""The contents of a store: every entry with its size and age, verified when that is asked for."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spqr_tests.store import disk, folders, images, tensors
from spqr_tests.store.entry import DamagedError
from spqr_tests.store.manifests import Name
from spqr_tests.store.store import Store, record_in

_EARLIER = (
    "admitted anchors clip-scores cmmd embeddings fid finetunes generations judgements kid pictures"
    " unpacked"
).split()
"""The kinds of entries that earlier versions kept next to this one's folder."""
_EARLIER_NAME = re.compile(r"[0-9a-f]{2}|[0-9a-f]{64}")


@dataclass(frozen=True)
class Entry:
    """One entry."""

    name: Name
    path: Path
    size: int
    """Bytes, of a folder those of its files."""
    written: float
    """Seconds since 1970."""


def entries(store: Store) -> Iterator[Entry]:
    """All entries, sorted by kind and key."""
    for kind in _subfolders(store.entries):
        for part in _subfolders(kind):
            for path in sorted(part.iterdir()):
                if not path.name.startswith("."):
                    name = (kind.name, path.name.partition(".")[0], path.suffix)
                    found = path.lstat()
                    yield Entry(name, path, size_of(path), found.st_mtime)


def earlier(store: Store) -> list[Path]:
    """What earlier versions of this suite left in the folder, which this one never reads.

    A folder that holds anything else is its user's, whatever its name.
    """
    return [path for path in _subfolders(store.folder) if path.name in _EARLIER and _is_ours(path)]


def _is_ours(folder: Path) -> bool:
    try:
        return all(_EARLIER_NAME.fullmatch(one.name) for one in folder.iterdir())
    except OSError:
        return False


def aside(store: Store) -> list[Path]:
    """What was moved aside as damaged."""
    folder = store.folder / disk.ASIDE
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in found if disk.is_own(path, disk.ASIDE))


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum(
        Path(folder, name).lstat().st_size for folder, _, names in os.walk(path) for name in names
    )


def problem(store: Store, entry: Entry) -> str | None:
    """What is wrong with an entry, all of which is read; None when it is sound."""
    kind, key, suffix = entry.name
    try:
        if suffix == "":
            return None if folders.is_sound(store, kind, key) else "it differs from its record"
        if not store.disk.has_file(entry.path):
            return "it is not there any more"
        if suffix == tensors.SUFFIX:
            tensors.load(entry.path, kind, key)
            return None
        data = store.disk.read(entry.path) or b""
        if suffix == ".png":
            images.from_png(data, kind, key)
        elif suffix == ".json":
            record_in(data, kind, key)
        else:
            return "it is none of the store's"
    except DamagedError as error:
        return str(error)
    return None


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError:
        return []
