"""Stores in which entries of every kind are damaged, replaced and swapped."""

import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.endurance import session
from benchmarks.endurance.rows import Damages
from benchmarks.endurance.session import Ended
from spqr_tests.store import contents
from spqr_tests.store.contents import Entry
from spqr_tests.store.store import Store

_ENTRIES = 30
"""That are damaged in one copy of the store."""


def rows(seed: int, reference: Ended, store: Path) -> Iterator[Damages]:
    """Copies without end, each with the next seed."""
    while True:
        yield _one(seed, reference, store)
        seed += 1


def _one(seed: int, reference: Ended, store: Path) -> Damages:
    rng = random.Random(seed)  # noqa: S311  not for secrets
    done: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place, "store")
        shutil.copytree(store, copy)
        whole = list(contents.entries(Store(copy, "endurance")))
        by_kind: dict[str, list[Entry]] = {}
        for entry in whole:
            by_kind.setdefault(entry.name[0] + entry.name[2], []).append(entry)
        # Every kind once, the rest at random.
        chosen = [rng.choice(by_kind[kind]) for kind in sorted(by_kind)]
        rest = [entry for entry in whole if entry not in chosen]
        chosen = (chosen + rng.sample(rest, _ENTRIES))[:_ENTRIES]
        for entry in chosen:
            how = rng.choice(sorted(_HOW))
            _HOW[how](entry.path, rng, whole)
            done[how] += 1
        store_ = Store(copy, "endurance")
        found = sum(contents.problem(store_, entry) is not None for entry in chosen)
        ended = session.run(copy, Path(place, "report"))
        return Damages(
            seed=seed, done=dict(done), found=found, equal=ended.measured == reference.measured
        )


def _inside(path: Path, rng: random.Random) -> Path:
    """The file itself, or one of a folder's files."""
    return rng.choice(sorted(path.iterdir())) if path.is_dir() else path


def _flip(path: Path, rng: random.Random, _: list[Entry]) -> None:
    file = _inside(path, rng)
    data = bytearray(file.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    file.write_bytes(data)


def _cut(path: Path, rng: random.Random, _: list[Entry]) -> None:
    file = _inside(path, rng)
    file.write_bytes(file.read_bytes()[: rng.randrange(file.stat().st_size)])


def _other(path: Path, rng: random.Random, entries: list[Entry], *, same_kind: bool) -> None:
    """Another sound entry takes its place."""
    kind = path.parts[-3]
    others = [
        entry.path
        for entry in entries
        if entry.path != path
        and entry.path.is_file()
        and (entry.name[0] == kind and entry.path.suffix == path.suffix) == same_kind
    ]
    if path.is_dir() or not others:
        _flip(path, rng, entries)
        return
    path.write_bytes(rng.choice(others).read_bytes())


def _swap(path: Path, rng: random.Random, entries: list[Entry]) -> None:
    _other(path, rng, entries, same_kind=True)


def _foreign(path: Path, rng: random.Random, entries: list[Entry]) -> None:
    _other(path, rng, entries, same_kind=False)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _folder(path: Path, rng: random.Random, entries: list[Entry]) -> None:
    if path.is_dir():
        _cut(path, rng, entries)
        return
    _remove(path)
    path.mkdir()


def _pipe(path: Path, _: random.Random, __: list[Entry]) -> None:
    _remove(path)
    os.mkfifo(path)


def _link(path: Path, _: random.Random, __: list[Entry]) -> None:
    _remove(path)
    path.symlink_to("/dev/null")


_HOW: dict[str, Callable[[Path, random.Random, list[Entry]], None]] = {
    "a flipped bit": _flip,
    "cut short": _cut,
    "another entry of its kind": _swap,
    "an entry of another kind": _foreign,
    "a folder": _folder,
    "a pipe": _pipe,
    "a link": _link,
}
