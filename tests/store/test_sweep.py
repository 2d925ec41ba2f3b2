"""What dead runs left is removed when a run begins, and what living ones use is not."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spqr_tests.errors import EvidenceError
from spqr_tests.store import disk
from spqr_tests.store.store import Store
from spqr_tests.store.sweep import sweep

KEY = "ab" * 32
DAY = 86400
INTERRUPTED = ("trainings",)


@pytest.fixture
def dead() -> str:
    """The name of a process of this machine that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return f"{disk.owner().rpartition('.')[0]}.{process.pid}"


def _put(path: Path, days: float = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (time.time() - days * DAY,) * 2)
    return path


def test_only_what_belongs_to_nobody_is_removed(store: Store, dead: str) -> None:
    folder = store.folder
    mine, other = disk.owner(), "elsewhere.1"
    gone = [
        _put(folder / "tmp" / f"{dead}.{'a' * 12}"),
        _put(folder / "tmp" / f"{dead}.{'c' * 12}" / "inside"),
        _put(folder / "tmp" / f"{other}.{'a' * 12}", days=8),
        _put(folder / "failures" / f"{dead}.123-{KEY[:16]}.json"),
        _put(folder / "damaged" / f"generations.{KEY}.png.{'a' * 8}", days=31),
        _put(folder / "locks" / f"{KEY}.lock", days=2),
        _put(store.path("trainings", KEY, ".safetensors"), days=31),
    ]
    kept = [
        _put(folder / "tmp" / f"{mine}.{'a' * 12}", days=100),
        _put(folder / "tmp" / f"{other}.{'b' * 12}", days=6),
        _put(folder / "failures" / f"{mine}.123-{KEY[:16]}.json"),
        _put(folder / "damaged" / f"generations.{KEY}.png.{'b' * 8}", days=29),
        _put(folder / "locks" / f"{'cd' * 32}.lock"),
        _put(store.path("trainings", "cd" * 32, ".safetensors"), days=2),
        _put(store.path("generations", KEY, ".png"), days=1000),
        _put(folder / "generations" / "ab" / "of an earlier version", days=1000),
    ]
    assert sweep(store, INTERRUPTED) == len(gone)
    assert [path for path in gone if path.exists()] == []
    assert [path for path in kept if not path.exists()] == []
    assert sweep(store, INTERRUPTED) == 0


def test_what_a_user_keeps_in_folders_of_these_names_stays(store: Store) -> None:
    """A store may be a project's folder, or a home."""
    kept = [
        _put(store.folder / folder / name, days=1000)
        for folder in ("tmp", "damaged", "locks", "failures", "v2/trainings/ab")
        for name in ("notes.txt", "photo.1.png", "yarn.lock", "a.1.json", "inside/deep.txt")
    ]
    assert sweep(store, INTERRUPTED) == 0
    assert all(path.exists() for path in kept)


def test_a_lock_that_is_held_stays(store: Store) -> None:
    with store.lock(KEY):
        path = folder_lock = store.folder / "locks" / f"{KEY}.lock"
        os.utime(folder_lock, (time.time() - 5 * DAY,) * 2)
        assert sweep(Store(store.folder, "later")) == 0
        assert path.exists()


def test_a_store_that_is_only_read_is_left_as_it_is(
    store: Store, dead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _put(store.folder / "tmp" / f"{dead}.{'a' * 12}")

    def read_only(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "unlink", read_only)
    assert sweep(store) == 0
    assert path.exists()


def test_a_killed_write_leaves_nothing_after_the_sweep(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from spqr_tests.store.store import"
        " Store\nstore = Store(Path(sys.argv[1]), 'run')\n"
        "def write(path):\n    path.write_bytes(b'half'); os.kill(os.getpid(), signal.SIGKILL)\n"
        f"store.fill('kind', '{KEY}', '.bin', write)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    store = Store(tmp_path, "later")
    assert len(list((tmp_path / "tmp").iterdir())) == 1
    assert sweep(store) == 1
    assert not store.path("kind", KEY, ".bin").exists()


def test_what_a_killed_session_remembered_as_broken_is_tried_again(store: Store, dead: str) -> None:
    def fail() -> None:
        raise EvidenceError("broken")

    with pytest.raises(EvidenceError):
        Store(store.folder, f"{dead}.1").attempt(KEY, fail)
    assert sweep(store) == 1
