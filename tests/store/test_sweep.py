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
        _put(folder / "tmp" / f"{dead}.aaaa"),
        _put(folder / "tmp" / f"{dead}.cccc" / "inside"),
        _put(folder / "tmp" / f"{other}.aaaa", days=8),
        _put(folder / "tmp" / "of an earlier version", days=8),
        _put(folder / "failures" / f"{dead}.123-{KEY[:16]}.json"),
        _put(folder / "damaged" / "generations-x.png.aaaa", days=31),
        _put(folder / "locks" / f"{KEY}.lock", days=2),
        _put(store.path("trainings", KEY, ".safetensors"), days=31),
    ]
    kept = [
        _put(folder / "tmp" / f"{mine}.aaaa", days=100),
        _put(folder / "tmp" / f"{other}.bbbb", days=6),
        _put(folder / "failures" / f"{mine}.123-{KEY[:16]}.json"),
        _put(folder / "damaged" / "generations-y.png.aaaa", days=29),
        _put(folder / "locks" / f"{'cd' * 32}.lock"),
        _put(store.path("trainings", "cd" * 32, ".safetensors"), days=2),
        _put(store.path("generations", KEY, ".png"), days=1000),
        _put(folder / "generations" / "ab" / "of an earlier version", days=1000),
    ]
    assert sweep(store) == len(gone)
    assert [path for path in gone if path.exists()] == []
    assert [path for path in kept if not path.exists()] == []
    assert sweep(store) == 0


def test_a_lock_that_is_held_stays(store: Store) -> None:
    with store.lock(KEY):
        path = folder_lock = store.folder / "locks" / f"{KEY}.lock"
        os.utime(folder_lock, (time.time() - 5 * DAY,) * 2)
        assert sweep(Store(store.folder, "later")) == 0
        assert path.exists()


def test_a_store_that_is_only_read_is_left_as_it_is(
    store: Store, dead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _put(store.folder / "tmp" / f"{dead}.aaaa")

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
