"""Progress of long work: one line for the whole run, in the terminal of the process that has one.

Each process counts what it makes. Under xdist a worker appends its counts to a file that
`ProgressReader` follows on the controller: written by the workers themselves, several lines would
contradict each other between the controller's dots.
"""

import contextlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TextIO

import pytest

from spqr_tests.execution.tally import Done, Left, Tally
from spqr_tests.generation.generations import TRAINING
from spqr_tests.plugin.live import LiveLine, line_of, write
from spqr_tests.store.cost import Cost

_FIRST, _EVERY = 4.0, 10.0  # seconds
_LOOKS = 0.5  # seconds
_AHEAD = 1.0
"""Seconds of work after which one process looks what is left: nobody waits for it in a run that
finds everything in the store."""


class Listener:
    """Keeps the tally of all processes, and shows it in the terminal.

    In a terminal the line stays and changes; elsewhere there is one now and then. Work that ends
    within a few seconds says nothing, and so does everything with -q.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._quiet = verbosity(config) < 0 or bool(config.option.spqr_plan)
        self._tally = Tally()
        self._live: LiveLine | None = None
        self._began: float | None = None
        self._said = 0.0

    def begin(self) -> None:
        """Find the terminal; pytest has one once the session starts."""
        if not self._quiet:
            self._live = line_of(self._config)

    def end(self) -> None:
        """Take the line away, and say nothing more."""
        self._quiet = True
        if self._live is not None:
            self._live.close()
            self._live = None

    def hear(self, event: dict[str, Any]) -> None:
        """Note what a process has made or says."""
        if self._quiet:
            return
        if "said" in event:
            write(self._config, f"{event['process']}: {event['said']}")
            return
        now = time.monotonic()
        if self._began is None:
            self._began = self._said = now
        self._tally.note(event["process"], Done(**event["done"]))
        if event["left"] is not None:
            self._tally.expect(Left(**event["left"]))
        first = self._said == self._began
        every = _FIRST if first else _LOOKS if self._live else _EVERY
        if now - self._said < every or (line := self._tally.line()) is None:
            return
        self._said = now
        if self._live is None:
            write(self._config, f"spqr: {line}")
        else:
            self._live.show(f"spqr: {line}")


class RunProgress:
    """What the work of this process calls: counts what is made, and tells it now and then."""

    processes = 1
    """How many processes this one counts for."""

    def __init__(self, tell: Callable[[dict[str, Any]], None], *, looks: bool) -> None:
        self._tell = tell
        self._process = os.environ.get("PYTEST_XDIST_WORKER", "spqr")
        self._looks = looks
        self._done = Done()
        self._cost, self._seen = Cost(), Cost()
        self._left: Callable[[], Left | None] = lambda: None
        self._longest = 0
        self._began: float | None = None
        self._told = self._before = 0.0
        self._label, self._step, self._trained = "", 0, 0

    def watch(self, cost: Cost, left: Callable[[], Left | None]) -> None:
        """Count by `cost` from now on; `left` looks what is left to make, None if nobody knows."""
        self._cost, self._seen, self._left = cost, replace(cost), left
        self._trained = cost.finetuned

    def __call__(self, label: str, done: int, total: int) -> None:
        """Note progress, or, without a total, pass on a sentence."""
        if not total:  # which its speaker says seldom enough
            self._tell({"process": self._process, "said": label})
            return
        now = time.monotonic()
        if self._began is None:
            self._began = now
        if label.startswith(TRAINING):
            goes_on = label == self._label and done > self._step
            steps = done - self._step if goes_on else done  # a training may continue another's
            self._done.add("train", steps, now - self._before if goes_on else None)
            self._step = done
            self._trained += done == total
        self._label, self._before = label, now
        self._count()
        if now - self._told >= _LOOKS:
            self._send(now)

    def flush(self) -> None:
        """Tell what was not told yet."""
        if self._began is not None:
            self._count()
            self._send(time.monotonic())

    def _count(self) -> None:
        """Count what the cost has grown by."""
        spent, self._seen = self._cost.since(self._seen), replace(self._cost)
        if spent["generated"]:
            self._done.add("generate", int(spent["generated"]), spent["sampling"])
        if spent["judged"]:
            self._done.add("judge", int(spent["judged"]), spent["judging"])
        # Of trainings on other nodes, the end alone is known here.
        if (elsewhere := self._cost.finetuned - self._trained) > 0:
            self._trained += elsewhere
            self._done.add("train", elsewhere * self._longest, spent["training"])

    def _send(self, now: float) -> None:
        left = None
        if self._looks and self._began is not None and now - self._began >= _AHEAD:
            self._looks = False
            left = self._left()
            self._longest = left.longest if left else 0
        self._told = now
        self._done.processes = self.processes
        self._tell(
            {
                "process": self._process,
                "done": asdict(self._done),
                "left": None if left is None else asdict(left),
            }
        )


PROGRESS = pytest.StashKey[RunProgress]()


def teller(told: Path) -> Callable[[dict[str, Any]], None]:
    """What appends a worker's events to the file `told`, where the controller still reads it."""

    def tell(event: dict[str, Any]) -> None:
        # Progress is for people to read; a full disk must not end the work. One write of a short
        # line is not mixed with another worker's.
        with contextlib.suppress(OSError):
            handle = os.open(told, os.O_WRONLY | os.O_APPEND)
            try:
                os.write(handle, f"{json.dumps(event)}\n".encode())
            finally:
                os.close(handle)

    return tell


class ProgressReader:
    """Follows the workers' events on the controller.

    `told` is the file to which workers append them.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._ended = threading.Event()
        handle, told = tempfile.mkstemp(prefix="spqr-progress-")
        os.close(handle)
        self.told = Path(told)
        self._rest = ""
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Read what is left, and remove the file."""
        self._ended.set()
        self._thread.join()
        self.told.unlink(missing_ok=True)

    def _follow(self) -> None:
        with self.told.open(encoding="utf-8") as file:
            while not self._ended.wait(_LOOKS):
                self._read(file)
            self._read(file)

    def _read(self, file: TextIO) -> None:
        *lines, self._rest = (self._rest + file.read()).split("\n")
        for line in lines:
            with contextlib.suppress(ValueError):  # a full disk cuts lines
                self._listener.hear(json.loads(line))


def verbosity(config: pytest.Config) -> int:
    """0, less with -q and more with -v; pytest's terminal, which knows, may be turned off."""
    return int(getattr(config.option, "verbose", 0))
