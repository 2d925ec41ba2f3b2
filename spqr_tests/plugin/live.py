"""A line at the bottom of the terminal that stays and changes, below what pytest writes."""

import contextlib
import os
import re
import sys
import threading
from typing import Any, TextIO

import pytest
from rich.cells import cell_len

from spqr_tests import quotes
from spqr_tests.plugin import plain

_USUAL = 80
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class LiveLine:
    """The line, and the file that pytest writes through while it is shown.

    It is drawn on the row below the cursor, which stays where pytest left it. Whatever pytest
    writes takes the line away first; the next `show` draws it again.
    """

    def __init__(self, writer: Any, out: int) -> None:
        """Stand before the file of a terminal `writer`; `out` is a handle of the same terminal."""
        self._writer = writer
        self._file: TextIO = writer._file  # noqa: SLF001  pytest has no other way to stand there
        self._out = out
        self._lock = threading.RLock()
        self._column: int = writer.width_of_current_line
        self._shown = False
        writer._file = self  # noqa: SLF001

    def __getattr__(self, name: str) -> Any:
        """Be the file in all else."""
        return getattr(self._file, name)

    def write(self, text: str) -> int:
        """Write for pytest."""
        with self._lock:
            self._erase()
            written = self._file.write(text)
            if self._file.isatty():
                self._file.flush()
            self._column = _column_after(self._column, text)
            return written

    def show(self, line: str) -> None:
        """Draw the line, cut to the terminal's width, in place of what it said before."""
        width = self._width()
        with self._lock:
            column = self._column % width
            if self._column and not column:
                return  # between two rows: the cursor could not be put back
            self._send(f"\n\x1b[2K{plain.cut(line, width - 1)}\x1b[1A\x1b[{column + 1}G")
            self._shown = True

    def close(self) -> None:
        """Take the line away, and leave the terminal to pytest alone."""
        with self._lock:
            self._erase()
            self._writer._file = self._file  # noqa: SLF001
            os.close(self._out)

    def _erase(self) -> None:
        if self._shown:
            column = self._column % self._width()
            self._send(f"\n\x1b[2K\x1b[1A\x1b[{column + 1}G")
            self._shown = False

    def _width(self) -> int:
        try:
            return os.get_terminal_size(self._out).columns or _USUAL
        except OSError:
            return _USUAL

    def _send(self, text: str) -> None:
        # A terminal that went away must not end the work.
        with contextlib.suppress(OSError):
            os.write(self._out, text.encode(self._file.encoding or "ascii", "replace"))


def _column_after(column: int, text: str) -> int:
    """Where the cursor is in its line after `text` was written at `column`."""
    for end in ("\n", "\r"):
        if end in text:
            text, column = text.rsplit(end, 1)[1], 0
    return column + cell_len(_ESCAPES.sub("", text))


def line_of(config: pytest.Config) -> LiveLine | None:
    """A live line in the session's terminal; None where it has none that can keep one.

    With `-s`, and without the plugin that captures, tests write to the terminal past pytest, so
    that nobody could put the cursor back.
    """
    reporter: Any = config.pluginmanager.getplugin("terminalreporter")
    if reporter is None or not _can_keep_a_line(reporter, getattr(config.option, "capture", "no")):
        return None
    writer = reporter._tw  # noqa: SLF001
    try:
        # Capture takes the place of the handle that the writer has, while a test runs.
        return LiveLine(writer, os.dup(writer._file.fileno()))  # noqa: SLF001
    except (AttributeError, OSError, ValueError):
        return None


def _can_keep_a_line(reporter: Any, capture: str) -> bool:
    dumb = os.environ.get("TERM", "dumb") in ("", "dumb")
    return bool(reporter.isatty) and not dumb and capture != "no" and sys.platform != "win32"


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
        reporter.write_line(quotes.line(line))
