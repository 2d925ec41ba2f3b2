"""Progress of long work: a line now and then, in the terminal of the process that has one."""

import contextlib
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import TextIO

import pytest

_FIRST, _EVERY = 4.0, 10.0  # seconds
_LOOKS = 0.5  # seconds


class ProgressLines:
    """Says what is being done, how far it is and how much time is left.

    Work that ends within a few seconds says nothing. Under xdist, a worker appends its lines to
    `told`, a file that `ProgressReader` reads on the controller: written by the worker itself, they
    would stand between the controller's dots.
    """

    def __init__(self, config: pytest.Config, told: Path | None = None) -> None:
        self._config = config
        self._told = told
        self._quiet = verbosity(config) < 0
        self._worker = os.environ.get("PYTEST_XDIST_WORKER", "")
        self._label = ""
        self._began = self._said = 0.0
        self._from = 0

    def __call__(self, label: str, done: int, total: int) -> None:
        """Note progress; print it every ten seconds at most, and at the end."""
        if not total:  # a sentence, which its speaker says seldom enough
            self._write(f"{self._worker or 'spqr'}: {label}")
            return
        now = time.monotonic()
        if label != self._label:
            self._label, self._began, self._said, self._from = label, now, 0.0, done
        spoken = self._said > 0
        due = now - (self._said or self._began) > (_EVERY if spoken else _FIRST)
        if self._quiet or not (due or (spoken and done == total)):
            return
        self._said = now
        rate = (done - self._from) / max(now - self._began, 1e-9)
        left = f", about {(total - done) / rate:.0f} s left" if rate > 0 and done < total else ""
        self._write(f"{self._worker or 'spqr'}: {label} {done}/{total}{left}")

    def _write(self, line: str) -> None:
        if self._told is None:
            write(self._config, line)
            return
        # Progress is for people to read; a full disk must not end the work. One write of a short
        # line is not mixed with another worker's.
        with contextlib.suppress(OSError), self._told.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


class ProgressReader:
    """Writes the workers' lines in the controller's terminal.

    `told` is the file to which workers append them.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._ended = threading.Event()
        handle, told = tempfile.mkstemp(prefix="spqr-progress-")
        os.close(handle)
        self.told = Path(told)
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what is left, and remove the file."""
        self._ended.set()
        self._thread.join()
        self.told.unlink(missing_ok=True)

    def _follow(self) -> None:
        with self.told.open(encoding="utf-8") as file:
            while not self._ended.wait(_LOOKS):
                self._write(file)
            self._write(file)

    def _write(self, file: TextIO) -> None:
        for line in file.read().splitlines():
            write(self._config, line)


def verbosity(config: pytest.Config) -> int:
    """0, less with -q and more with -v; pytest's terminal, which knows, may be turned off."""
    return int(getattr(config.option, "verbose", 0))


def write(config: pytest.Config, line: str) -> None:
    """Write a line of its own in the terminal, past pytest's capture; nothing without a terminal.

    Either plugin may have been turned off (`-p no:terminal`, `-p no:capture`).
    """
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is None:
        return
    capture = config.pluginmanager.getplugin("capturemanager")
    uncaptured = capture.global_and_fixture_disabled() if capture else contextlib.nullcontext()
    with uncaptured:
        reporter.ensure_newline()
        # Under xdist pytest does not keep in mind that it has written dots.
        if reporter._tw.width_of_current_line:  # noqa: SLF001
            reporter.line("")
        reporter.write_line(line)
