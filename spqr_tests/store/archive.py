"""Archives: the evidence of one model and protocol as one file, for another store."""

import shutil
import tarfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath

from spqr_tests.errors import InputError
from spqr_tests.store import contents, folders
from spqr_tests.store.contents import Entry
from spqr_tests.store.manifests import KIND, Manifest, Name
from spqr_tests.store.store import LAYOUT, Store


def export(store: Store, chosen: Iterable[Manifest], path: Path) -> int:
    """Write all entries of these runs into a tar file; how many there are.

    `InputError` when the file cannot be written.
    """
    names: set[Name] = set()
    for one in chosen:
        names |= one.entries | {(KIND, one.key, ".json")}
    # The record of a folder's digests goes with it.
    names |= {(kind, key, ".json") for kind, key, suffix in names if not suffix}
    count = 0
    temporary = path.with_name(f".{path.name}.part")
    try:
        with tarfile.open(temporary, "w") as archive:
            for kind, key, suffix in sorted(names):
                entry = store.path(kind, key, suffix)
                if entry.exists():
                    archive.add(entry, f"{LAYOUT}/{kind}/{key}{suffix}", filter=_plain)
                    count += 1
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise InputError(f"The archive {path} cannot be written ({error.strerror}).") from error
    return count


def take(store: Store, path: Path) -> tuple[int, int, list[str]]:
    """Take the entries of an archive into a store.

    How many were taken, how many the store had already, and what was refused, a sentence each: an
    entry that does not prove whose it is is not taken. `InputError` for what is no such archive.
    """
    taken = had = 0
    refused = []
    trial = store.disk.temporary()
    try:
        _unpack(path, trial, store)
        incoming = Store(trial, "import")
        for entry in contents.entries(incoming):
            kind, key, suffix = entry.name
            if said := contents.problem(incoming, entry):
                refused.append(f"{kind}/{key[:12]}{suffix}: {said}")
            elif store.path(kind, key, suffix).exists() and kind != KIND:
                had += 1
            else:
                _move(store, entry)
                taken += 1
    finally:
        shutil.rmtree(trial, ignore_errors=True)
    return taken, had, refused


def _move(store: Store, entry: Entry) -> None:
    kind, key, suffix = entry.name
    target = store.path(kind, key, suffix)
    if suffix:
        store.fill(kind, key, suffix, lambda path: shutil.copyfile(entry.path, path))
        return
    try:
        store.disk.make_folder(target.parent)
        store.disk.share(entry.path)
        folders.move(entry.path, target)
    except OSError as error:
        raise store.disk.refused(target, error) from error


def _unpack(path: Path, trial: Path, store: Store) -> None:
    """Unpack the regular files of an archive, each to the place that its name gives."""
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                if member.isdir():
                    continue
                parts = PurePosixPath(member.name).parts
                if not member.isfile() or len(parts) < 3 or parts[0] != LAYOUT:
                    raise InputError(
                        f"The archive {path} holds {member.name!r}, which is no entry of a store;"
                        " expected a file that `python -m spqr_tests store export` wrote."
                    )
                _, kind, name, *inside = parts
                target = trial / LAYOUT / kind / name[:2] / PurePosixPath(name, *inside)
                if ".." in parts or not target.is_relative_to(trial):
                    raise InputError(f"The archive {path} names a file outside: {member.name!r}.")
                store.disk.make_folder(target.parent)
                data = archive.extractfile(member)
                with target.open("wb") as file:
                    if data is not None:
                        shutil.copyfileobj(data, file)
    except (tarfile.TarError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{path} is not a tar file that can be read ({reason}); expected one that"
            " `python -m spqr_tests store export` wrote."
        ) from error
    except OSError as error:
        raise InputError(f"The archive {path} cannot be read ({error.strerror}).") from error


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """A member without what says who made it."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member
