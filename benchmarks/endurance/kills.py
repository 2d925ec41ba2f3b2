"""Runs that are killed at random moments, as often as it takes, and go on."""

import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmarks.endurance import session
from benchmarks.endurance.rows import Kills
from benchmarks.endurance.session import Ended
from spqr_tests.store.store import LAYOUT

if TYPE_CHECKING:
    import subprocess

_COSTS = {"generations": "generated", "judgements": "judged", "finetunes": "finetuned"}
_LONGEST = 10
"""Seconds after which a run is killed; a whole one takes a little longer."""
_MOST = 12
"""Kills of one run; after them it may end."""


def rows(seed: int, reference: Ended) -> Iterator[Kills]:
    """Runs without end, each with the next seed."""
    while True:
        yield _one(seed, reference)
        seed += 1


def _one(seed: int, reference: Ended) -> Kills:
    rng = random.Random(seed)  # noqa: S311  not for secrets
    target: Literal["group", "worker"] = "worker" if seed % 2 else "group"
    options = ("-n", "2") if target == "worker" or seed % 4 else ()
    after: list[float] = []
    with tempfile.TemporaryDirectory() as place:
        store, folder = Path(place, "store"), Path(place, "report")
        while True:
            stored = _stored(store)
            process = session.begin(store, folder, *options)
            delay = rng.uniform(1, _LONGEST)
            if len(after) < _MOST and _still_runs(process, delay) and _kill(process.pid, target):
                after.append(round(delay, 1))
                ended = session.end(process, folder)
                if target == "group":
                    continue
            else:
                ended = session.end(process, folder)
            if ended.report.get("complete"):
                break
        wanted = _stored(store)
        again = sum(
            max(0, ended.report["cost"][cost] - (wanted[kind] - stored[kind]))
            for kind, cost in _COSTS.items()
        )
        return Kills(
            seed=seed,
            target=target,
            kills=len(after),
            after=after,
            again=again,
            equal=ended.measured == reference.measured,
        )


def _stored(store: Path) -> Counter[str]:
    """Entries by kind."""
    return Counter(path.parts[-3] for path in (store / LAYOUT).glob("*/*/*") if path.suffix)


def _still_runs(process: "subprocess.Popen[str]", seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            return False
        time.sleep(0.05)
    return process.poll() is None


def _kill(leader: int, target: str) -> bool:
    """Kill the group or one of its workers; False when there was nothing left to kill."""
    if target == "group":
        os.killpg(leader, signal.SIGKILL)
        return True
    workers = _children(leader)
    try:
        os.kill(workers[-1], signal.SIGKILL)
    except (IndexError, ProcessLookupError):
        return False
    return True


def _children(parent: int) -> list[int]:
    """Processes that another one started, oldest first."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(path.parent.name))
    return sorted(found)
