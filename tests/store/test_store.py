"""The store: entries are whole or absent, verified when read, made once."""

import errno
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.store.store import Store
from tests.seconds import PATIENCE

KEY = "ab" * 32
_LARGE = 2**28
_WRITE_LARGE = f"""
import sys
from pathlib import Path
from spqr_tests.store.store import Store
store = Store(Path(sys.argv[1]), "run")
store.put("large", "{KEY}", ".bin", bytes({_LARGE}))
"""


def _never() -> None:
    pytest.fail("made although the store held it")


def _kill_while_writing(folder: Path) -> list[Path]:
    """Start a write, kill it once some of its bytes are on disk, and return the files left."""
    process = subprocess.Popen([sys.executable, "-c", _WRITE_LARGE, str(folder)])
    entries = folder / "tmp"
    while process.poll() is None:
        if entries.is_dir() and any(path.stat().st_size for path in entries.iterdir()):
            process.kill()
            break
    process.wait()
    return list(entries.iterdir())


def test_a_write_that_is_killed_leaves_no_entry_and_a_later_run_works(tmp_path: Path) -> None:
    left = _kill_while_writing(tmp_path)
    assert left, "the process was killed before it wrote"
    assert all(0 < path.stat().st_size < _LARGE for path in left), "the process was killed too late"
    store = Store(tmp_path, "run")
    path = store.path("large", KEY, ".bin")
    assert not path.exists()
    store.put("large", KEY, ".bin", b"whole")
    assert path.read_bytes() == b"whole"


def test_a_write_leaves_nothing_but_the_entry(store: Store) -> None:
    path = store.path("kind", KEY, ".bin")
    store.put("kind", KEY, ".bin", b"first")
    store.put("kind", KEY, ".bin", b"second")
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    assert path.read_bytes() == b"second"


def test_a_write_that_fails_leaves_nothing_and_names_the_entry(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path, __: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(
        EvidenceError,
        match=r"could not write .*abab\.bin \(No space left on device\): free space there, or pass",
    ):
        store.put("kind", KEY, ".bin", b"data")
    assert not [path for path in store.folder.rglob("*") if path.is_file()]


IN_ITS_PLACE: dict[str, Callable[[Path], object]] = {
    "folder": lambda path: (path / "inside").mkdir(parents=True),
    "pipe": os.mkfifo,
    "link to nothing": lambda path: path.symlink_to("nothing"),
    "link to itself": lambda path: path.symlink_to(path),
    "link to a folder": lambda path: path.symlink_to("/"),
    "device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("put", IN_ITS_PLACE.values(), ids=IN_ITS_PLACE)
def test_what_is_in_an_entrys_place_is_moved_out_of_it(
    store: Store, put: Callable[[Path], object]
) -> None:
    path = store.path("kind", KEY, ".json")
    path.parent.mkdir(parents=True)
    put(path)
    assert store.once("kind", KEY, lambda: 7) == 7
    assert store.once("kind", KEY, _never) == 7
    assert path.is_file()
    assert not path.is_symlink()


@pytest.mark.parametrize("folder", ["v2", "v2/kind", "v2/kind/ab", "locks", "tmp", "failures"])
def test_a_file_in_the_place_of_a_folder_is_moved_out_of_it(store: Store, folder: str) -> None:
    path = store.folder / folder
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a file where a folder belongs", encoding="utf-8")
    assert store.once("kind", KEY, lambda: 7) == 7
    assert Store(store.folder, "later").once("kind", KEY, _never) == 7


@pytest.mark.parametrize("other", [("kind", "cd" * 32), ("other", KEY)], ids=["key", "kind"])
def test_a_sound_record_of_another_entry_is_damage(store: Store, other: tuple[str, str]) -> None:
    store.put_record(*other, 7)
    path = store.path("kind", KEY, ".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(store.path(*other, ".json").read_bytes())
    assert store.peek("kind", KEY) is None
    assert store.record("kind", KEY) is None
    assert store.damaged == 1
    assert store.record(*other) == 7


def test_any_flipped_bit_of_a_record_is_detected(store: Store) -> None:
    store.put_record("kind", KEY, {"n": 1e-05, "text": "A b"}, of={"judge": "x"})
    path = store.path("kind", KEY, ".json")
    data = path.read_bytes()
    for position in range(len(data)):
        for bit in range(8):
            flipped = bytes([data[position] ^ 1 << bit])
            path.write_bytes(data[:position] + flipped + data[position + 1 :])
            assert store.peek("kind", KEY) is None, (position, bit)


@pytest.mark.parametrize("value", [{"a": [1, 0.1, None, "ü"]}, [], 0, "text"], ids=str)
def test_a_record_is_read_as_it_was_put(store: Store, value: Any) -> None:
    assert store.record("kind", KEY) is None
    store.put_record("kind", KEY, value)
    assert store.record("kind", KEY) == value
    assert store.damaged == 0


def _flip(data: bytes) -> bytes:
    return data.replace(b"true", b"tru3")


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "a flipped value": lambda data: data.replace(b"41", b"42"),
    "a flipped byte of the digest": lambda data: data[:-5] + bytes([data[-5] ^ 1]) + data[-4:],
    "broken JSON": _flip,
    "truncated": lambda data: data[: len(data) // 2],
    "empty": lambda _: b"",
    "a list": lambda _: b"[]",
    "a number": lambda _: b"17",
    "without a digest": lambda _: b'{"value": 1}',
    "without a value": lambda data: json.dumps({"sha256": json.loads(data)["sha256"]}).encode(),
    "no text": lambda _: b"\xff\xfe\x00",
    "not a number": lambda data: data.replace(b"41", b"NaN"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_look_at_a_damaged_record_leaves_it(
    store: Store, damage: Callable[[bytes], bytes]
) -> None:
    assert store.peek("kind", KEY) is None
    store.put_record("kind", KEY, {"n": 41, "sound": True})
    assert store.peek("kind", KEY) == {"n": 41, "sound": True}
    path = store.path("kind", KEY, ".json")
    path.write_bytes(damaged := damage(path.read_bytes()))
    assert store.peek("kind", KEY) is None
    assert (path.read_bytes(), store.damaged) == (damaged, 0)


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_record_is_discarded_counted_and_made_again(
    store: Store, damage: Callable[[bytes], bytes]
) -> None:
    value = {"n": 41, "sound": True}
    store.put_record("kind", KEY, value)
    path = store.path("kind", KEY, ".json")
    before = path.read_bytes()
    path.write_bytes(damage(before))
    assert path.read_bytes() != before
    assert store.record("kind", KEY) is None
    assert store.damaged == 1
    assert not path.exists()
    assert store.once("kind", KEY, lambda: value) == value
    assert store.once("kind", KEY, _never) == value


def _ask_once(folder: str, barrier: Any, answers: Any, locked: bool) -> None:  # noqa: FBT001
    store = Store(Path(folder), "run")
    if not locked:
        store.lock = lambda _: nullcontext()  # type: ignore[assignment,method-assign,return-value]

    def make() -> dict[str, str]:
        time.sleep(0.5)
        (Path(folder) / f"made-{os.getpid()}").touch()
        return {"answer": "the same"}

    barrier.wait()
    answers.put(store.once("kind", KEY, make))


@pytest.mark.parametrize("locked", [True, False], ids=["lock", "no-op lock"])
def test_processes_that_ask_together_get_one_answer_made_once_where_locks_work(
    tmp_path: Path, *, locked: bool
) -> None:
    spawn = multiprocessing.get_context("spawn")
    barrier, answers = spawn.Barrier(4), spawn.Queue()
    workers = [
        spawn.Process(target=_ask_once, args=(str(tmp_path), barrier, answers, locked))
        for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    assert [answers.get(timeout=PATIENCE) for _ in workers] == [{"answer": "the same"}] * 4
    for worker in workers:
        worker.join()
    made = len(list(tmp_path.glob("made-*")))
    assert made == 1 if locked else made > 1
    assert Store(tmp_path, "later").once("kind", KEY, _never) == {"answer": "the same"}
    assert len(list((tmp_path / "v2" / "kind" / KEY[:2]).iterdir())) == 1


def test_a_lock_is_free_again_when_its_holder_was_killed(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from spqr_tests.store.store import"
        f" Store\nassert Store(Path(sys.argv[1]), 'run').lock('{KEY}').try_acquire();"
        " os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == -9
    assert Store(tmp_path, "run").lock(KEY).try_acquire()


def _fail() -> None:
    raise EvidenceError("the model is broken")


def test_a_failure_is_remembered_by_every_worker_of_the_session(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="the model is broken"):
        Store(tmp_path, "run").attempt(KEY, _fail)
    with pytest.raises(EvidenceError, match="the model is broken"):
        Store(tmp_path, "run").attempt(KEY, _never)


def test_a_failure_is_forgotten_by_the_next_session(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError):
        Store(tmp_path, "run").attempt(KEY, _fail)
    assert Store(tmp_path, "next run").attempt(KEY, lambda: 7) == 7


def test_a_failure_of_one_key_says_nothing_of_another(store: Store) -> None:
    with pytest.raises(EvidenceError):
        store.attempt(KEY, _fail)
    assert store.attempt("cd" * 32, lambda: 7) == 7


def test_forgetting_failures_leaves_those_of_other_sessions(tmp_path: Path) -> None:
    mine, other = Store(tmp_path, "mine"), Store(tmp_path, "other")
    for one in (mine, other):
        with pytest.raises(EvidenceError):
            one.attempt(KEY, _fail)
    mine.forget_failures()
    assert mine.attempt(KEY, lambda: 7) == 7
    with pytest.raises(EvidenceError):
        other.attempt(KEY, _never)


def test_what_failed_is_no_entry(store: Store) -> None:
    with pytest.raises(EvidenceError):
        store.once("kind", KEY, _fail)
    assert store.record("kind", KEY) is None
    store.forget_failures()
    assert store.once("kind", KEY, lambda: 7) == 7


def test_a_refusal_is_remembered_as_what_it_was(tmp_path: Path) -> None:
    """A broken model is an input that cannot be used: it is not loaded for each case."""

    def refuse() -> None:
        raise InputError("the model lacks a tensor")

    with pytest.raises(InputError, match="lacks a tensor"):
        Store(tmp_path, "run").attempt(KEY, refuse)
    with pytest.raises(InputError, match="lacks a tensor"):
        Store(tmp_path, "run").attempt(KEY, _never)


def test_a_failure_is_remembered_where_it_cannot_be_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*_: object) -> None:
        raise EvidenceError("read-only")

    monkeypatch.setattr(store.disk, "write", read_only)
    for make in (_fail, _never):
        with pytest.raises(EvidenceError, match="the model is broken"):
            store.attempt(KEY, make)


@pytest.mark.parametrize("inside", [".", "folder"])
def test_a_store_that_is_no_folder_is_refused_with_a_sentence(tmp_path: Path, inside: str) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(
        InputError,
        match=r"^The store .* cannot be used \(.+\); pass a folder of yours with --spqr-store\.$",
    ):
        Store(file / inside, "run")
