"""Progress of long work: a line now and then, past pytest's capture, also from workers."""

import os
import sys
import time

import pytest

_FIRST, _EVERY = 4.0, 10.0  # seconds


class ProgressLines:
    """Writes what is being done, how far it is and how much time is left.

    Work that ends within a few seconds writes nothing.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._quiet = config.option.verbose < 0
        self._worker = os.environ.get("PYTEST_XDIST_WORKER", "")
        self._label = ""
        self._began = self._said = 0.0
        self._from = 0

    def __call__(self, label: str, done: int, total: int) -> None:
        """Note progress; print it every ten seconds at most, and at the end."""
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
        capture = self._config.pluginmanager.getplugin("capturemanager")
        reporter = self._config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None and not self._worker:
            with capture.global_and_fixture_disabled():
                reporter.ensure_newline()
                reporter.write_line(line)
        elif capture is not None:
            with capture.global_and_fixture_disabled():
                sys.stderr.write(f"{line}\n")
                sys.stderr.flush()
