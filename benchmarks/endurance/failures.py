"""File systems that fail: full, read-only, without locks, with locks that do nothing."""

import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.endurance import session
from benchmarks.endurance.rows import Failure
from benchmarks.endurance.session import Ended
from spqr_tests.store import contents
from spqr_tests.store.store import Store

_PLUGIN = ("-p", "benchmarks.endurance.faults")
_CHECKOUT = Path(__file__).resolve().parents[2]
FULL = 20
"""Disks that are full at a random write."""


def rows(done: int, reference: Ended, store: Path) -> Iterator[Failure]:
    """Every failure once; the first `done` are left out."""
    yield from (make() for make in _makers(reference, store)[done:])


def _makers(reference: Ended, store: Path) -> list[Callable[[], Failure]]:
    rng = random.Random(0)  # noqa: S311  not for secrets
    writes = sum(1 for _ in contents.entries(Store(store, "endurance")))
    full = [f"full:{rng.randrange(1, writes)}" for _ in range(FULL)]
    faults = [
        *((fault, None) for fault in full),
        ("read-only", None),
        ("read-only", store),
        *((f"no-locks:{name}", None) for name in ("ENOLCK", "EOPNOTSUPP", "EIO")),
    ]
    return [
        *(partial(_failed, fault, start, reference) for fault, start in faults),
        partial(_two_at_once, reference),
    ]


def _failed(fault: str, start: Path | None, reference: Ended) -> Failure:
    """A run on a file system that fails, from a complete store or an empty one, and one after."""
    with tempfile.TemporaryDirectory() as place:
        store, folder = Path(place, "store"), Path(place, "report")
        if start is not None:
            shutil.copytree(start, store)
        first = session.run(store, folder, *_PLUGIN, **_environment(fault))
        second = session.run(store, folder)
        what = fault + (", a complete store" if start is not None else ", an empty store")
        said = first.sentence.replace(place, "")
        return Failure(
            what=what, code=first.code, said=said, equal=second.measured == reference.measured
        )


def _two_at_once(reference: Ended) -> Failure:
    """Two runs on one empty store, whose locks do nothing."""
    with tempfile.TemporaryDirectory() as place:
        store, folders = Path(place, "store"), [Path(place, name) for name in "ab"]
        environment = _environment("no-op-locks")
        both = [session.begin(store, folder, *_PLUGIN, **environment) for folder in folders]
        ended = [session.end(one, folder) for one, folder in zip(both, folders, strict=True)]
        return Failure(
            what="two runs at once, with locks that do nothing",
            code=max(one.code for one in ended),
            said=ended[0].sentence,
            equal=all(one.measured == reference.measured for one in ended),
        )


def _environment(fault: str) -> dict[str, str]:
    paths = [str(_CHECKOUT), session.surroundings().get("PYTHONPATH", "")]
    return {"SPQR_FAULT": fault, "PYTHONPATH": ":".join(path for path in paths if path)}
