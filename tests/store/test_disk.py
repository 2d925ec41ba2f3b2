"""The store's files: permissions, and file systems on which things fail."""

import errno
import os
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.store import disk, folders
from spqr_tests.store.disk import Disk
from spqr_tests.store.entry import DamagedError
from spqr_tests.store.lock import Lock
from spqr_tests.store.store import Store

KEY = "ab" * 32
NOBODY = 65534


def _modes(folder: Path) -> set[tuple[str, str]]:
    return {
        ("folder" if path.is_dir() else "file", oct(stat.S_IMODE(path.stat().st_mode)))
        for path in [folder, *folder.rglob("*")]
    }


def _filled(folder: Path) -> Store:
    store = Store(folder, "run")
    store.once("kind", KEY, lambda: 7)
    folders.kept(store, "pictures", KEY, lambda folder: (folder / "one").write_bytes(b"1"))
    return store


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_a_new_store_is_its_users_alone(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        _filled(tmp_path / "store")
    finally:
        os.umask(before)
    assert _modes(tmp_path / "store") == {("folder", "0o700"), ("file", "0o600")}


def test_a_groups_store_stays_the_groups_whatever_the_umask(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    folder.chmod(0o2770)
    before = os.umask(0o077)
    try:
        _filled(folder)
    finally:
        os.umask(before)
    assert _modes(folder) == {("folder", "0o2770"), ("file", "0o660")}


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, as root may")


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user can enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def _as_nobody() -> Iterator[None]:
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@needs_root
def test_another_users_complete_store_is_read_and_never_written(shared: Path) -> None:
    folder = shared / "store"
    folder.mkdir()
    folder.chmod(0o755)
    made = _filled(folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with _as_nobody():
        store = Store(folder, "run")
        assert store.once("kind", KEY, lambda: 8) == 7
        assert folders.kept(store, "pictures", KEY, _never) == made.path("pictures", KEY, "")
        assert not store.damaged
        with pytest.raises(EvidenceError, match="this user may not write there; pass a folder tha"):
            store.once("other", "cd" * 32, lambda: 7)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@needs_root
def test_an_entry_that_nobody_may_read_is_made_again(shared: Path) -> None:
    folder = shared / "store"
    folder.mkdir()
    folder.chmod(0o777)
    _filled(folder).path("kind", KEY, ".json").chmod(0)
    with _as_nobody():
        assert Store(folder, "run").once("kind", KEY, lambda: 8) == 8


@needs_root
def test_a_store_that_may_not_be_read_is_refused(shared: Path) -> None:
    folder = shared / "store"
    folder.mkdir(mode=0o700)
    with (
        _as_nobody(),
        pytest.raises(InputError, match=r"cannot be used \(this user may not read it\); pass a"),
    ):
        Store(folder, "run")


NUMBERS = [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO, errno.EACCES]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("what", ["open", "replace", "mkdir"])
def test_what_cannot_be_written_is_a_sentence_and_leaves_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int, what: str
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os if what == "open" else Path, what, fail)
    with pytest.raises(
        EvidenceError, match=rf"could not write .* \({os.strerror(number)}\): .*\.$"
    ):
        store.put("kind", KEY, ".bin", b"data")
    monkeypatch.undo()
    assert not [path for path in store.folder.rglob("*") if path.is_file()]


def test_an_entry_that_cannot_be_read_is_damage(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a disk with bad sectors."""
    store.put("kind", KEY, ".bin", b"data")

    def fail(*_: Any) -> Any:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(DamagedError, match=r"it cannot be read \(Input/output error\)"):
        store.disk.read(store.path("kind", KEY, ".bin"))


def test_damage_that_cannot_be_moved_is_a_sentence(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store.path("kind", KEY, ".json")
    store.put("kind", KEY, ".json", b"damaged")

    def fail(*_: Any) -> Any:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(EvidenceError, match=r"abab\.json is damaged and cannot be moved out of"):
        store.record("kind", KEY)
    assert path.read_bytes() == b"damaged"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EIO, errno.ENOSYS])
def test_a_file_system_without_locks_has_none(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    import fcntl

    def fail(*_: Any) -> Any:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", fail)
    with store.lock(KEY):
        assert store.lock(KEY).try_acquire()
    assert store.once("kind", KEY, lambda: 7) == 7


def test_a_lock_is_one_processs_and_names_it_to_who_waits(tmp_path: Path) -> None:
    told: list[str] = []
    path = tmp_path / "one.lock"
    first = Lock(path, 0o600, told.append)
    assert first.try_acquire()
    second = Lock(path, 0o600, told.append, patience=0.2)
    assert not second.try_acquire()
    timer = threading.Timer(0.7, first.release)
    timer.start()
    with second:
        pass
    timer.join()
    host = disk.owner().rpartition(".")[0]
    assert told
    assert all(
        said.startswith("waiting since ")
        and said.endswith(f"process {os.getpid()} on {host} to finish")
        for said in told
    )


def test_a_store_whose_kind_is_on_another_disk(tmp_path: Path) -> None:
    other = Path("/dev/shm")  # noqa: S108  in memory, with a random name below
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other disk here")
    with tempfile.TemporaryDirectory(dir=other) as folder:
        store = Store(tmp_path / "store", "run")
        store.entries.mkdir(parents=True)
        for kind in ("kind", "pictures"):
            (Path(folder) / kind).mkdir()
            (store.entries / kind).symlink_to(Path(folder) / kind)
        _filled(store.folder)
        again = Store(store.folder, "later")
        assert again.record("kind", KEY) == 7
        names = {path.name for path in Path(folder).rglob("*")}
        assert f"{KEY}.json" in names
        assert not [name for name in names if name.startswith(".")]


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a flipped byte": lambda folder: (folder / "one").write_bytes(b"2"),
    "cut": lambda folder: (folder / "one").write_bytes(b""),
    "gone": lambda folder: (folder / "one").unlink(),
    "one more": lambda folder: (folder / "two").write_bytes(b"2"),
    "renamed": lambda folder: (folder / "one").rename(folder / "two"),
    "a link": lambda folder: (
        (folder / "one").rename(folder.parent / "elsewhere"),
        (folder / "one").symlink_to(folder.parent / "elsewhere"),
    ),
    "a pipe": lambda folder: ((folder / "one").unlink(), os.mkfifo(folder / "one")),
    "a folder": lambda folder: ((folder / "one").unlink(), (folder / "one").mkdir()),
    "a folder's link": lambda folder: (folder / "two").symlink_to("/"),
    "no record": lambda folder: folder.with_suffix(".json").unlink(),
    "a damaged record": lambda folder: folder.with_suffix(".json").write_bytes(b"{}"),
    "a file in its place": lambda folder: (folder.rename(folder.with_name("x")), folder.touch()),
    "another folder in its place": lambda folder: (
        folder.rename(folder.with_name("x")),
        folder.mkdir(),
    ),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_folder_that_differs_in_anything_is_made_again(
    store: Store, damage: Callable[[Path], object]
) -> None:
    def make(folder: Path) -> None:
        (folder / "one").write_bytes(b"1")

    made = folders.kept(store, "pictures", KEY, make)
    assert folders.kept(Store(store.folder, "later"), "pictures", KEY, _never) == made
    damage(made)
    assert folders.kept(Store(store.folder, "later"), "pictures", KEY, make) == made
    assert {path.name: path.read_bytes() for path in made.iterdir()} == {"one": b"1"}
    assert not list((store.folder / "tmp").iterdir())


def _nested(folder: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "inner" / "one").write_bytes(b"abc")
    (folder / "empty").write_bytes(b"")


def test_files_in_folders_have_the_digests_of_the_standard(store: Store) -> None:
    """FIPS 180-4's examples: of 'abc', and of nothing."""
    folders.kept(store, "pictures", KEY, _nested)
    assert folders.contents(store, "pictures", KEY) == {
        "empty": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "inner/one": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    }


@pytest.mark.parametrize(
    "damage",
    [
        lambda inner: (inner / "one").write_bytes(b"abd"),
        lambda inner: os.mkfifo(inner / "two"),
        lambda inner: (inner.rename(inner.with_name("x")), inner.symlink_to(inner.with_name("x"))),
    ],
    ids=["a byte", "a pipe", "the folder is a link"],
)
def test_damage_within_an_inner_folder_is_seen(
    store: Store, damage: Callable[[Path], object]
) -> None:
    made = folders.kept(store, "pictures", KEY, _nested)
    damage(made / "inner")
    assert folders.kept(Store(store.folder, "later"), "pictures", KEY, _nested) == made
    assert sorted(path.relative_to(made).as_posix() for path in made.rglob("*")) == [
        "empty",
        "inner",
        "inner/one",
    ]
    assert not (made / "inner").is_symlink()


def _never(folder: Path) -> None:
    pytest.fail(f"{folder} was made although the store held it")


def test_a_folder_that_cannot_be_made_leaves_nothing(store: Store) -> None:
    def refuse(folder: Path) -> None:
        (folder / "one").touch()
        raise InputError("a damaged tar")

    def full(_: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(InputError, match="a damaged tar"):
        folders.kept(store, "pictures", KEY, refuse)
    with pytest.raises(EvidenceError, match=r"could not write .*abab \(No space left on device\)"):
        folders.kept(store, "pictures", KEY, full)
    assert not list((store.folder / "tmp").iterdir())
    assert not store.path("pictures", KEY, "").exists()


def test_a_process_is_known_to_run_or_not() -> None:
    assert disk.alive(f"{disk.owner()}.1234") is True
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    host = disk.owner().rpartition(".")[0]
    assert disk.alive(f"{host}.{gone.pid}.1234") is False
    assert disk.alive("elsewhere.1.1234") is None
    assert disk.alive("nonsense") is None


def test_a_folder_that_cannot_be_listed_is_not_synced(tmp_path: Path) -> None:
    disk.sync_folder(tmp_path / "gone")
    Disk(tmp_path / "new" / "store")
    assert (tmp_path / "new" / "store").is_dir()
