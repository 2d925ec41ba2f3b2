"""The run's side: a process that is asked, with a limit to how long it may take.

Whatever it does instead of answering becomes a sentence: it ends, hangs, takes too much memory,
closes its pipes or sends something else.
"""

import contextlib
import io
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spqr_tests.judging.child import frames
from spqr_tests.store.images import Pixels

# The run's own path, so that the child finds what the run finds.
_CODE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop());"
    " from spqr_tests.judging.child.serving import main; main()"
)
_LOOK = 0.2
"""Seconds between two looks at a process that has not answered yet."""
_PATIENCE = 5
"""Seconds that a process has to end by itself."""
_LINES = 5
"""The last lines that it wrote, which a sentence shows."""
_LINE = 300
"""Characters of each that are shown."""
_GIB = 1 << 30


class LostError(Exception):
    """The process gave no answer; the message says what it did, as the end of a sentence."""

    def __init__(self, what: str, *, late: bool = False) -> None:
        super().__init__(what)
        self.late = late
        """Whether its time was up: to ask again would take as long."""


@dataclass(frozen=True)
class Limits:
    """How long one request may take, and how much memory the process may hold."""

    seconds: float
    setting: str
    """The key of the judge's table that states the seconds."""
    memory_gib: float | None = None


class ChildProcess:
    """One process. `locate` answers what it asks while it works."""

    def __init__(self, locate: Callable[[str], Path]) -> None:
        self._locate = locate
        self._process = subprocess.Popen(  # noqa: S603  this module's own code
            [sys.executable, "-P", "-c", _CODE, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Closing must not wait for a thread that still writes.
            bufsize=0,
            # Ctrl-C is for the run, which then ends this process and all that it started.
            start_new_session=True,
        )
        self._arrived: queue.Queue[dict[str, Any] | frames.FrameError | None] = queue.Queue()
        self._said: deque[str] = deque(maxlen=_LINES)
        self._listening = [
            threading.Thread(target=_listen, args=(self._process.stdout, self._arrived)),
            threading.Thread(target=_keep_lines, args=(self._process.stderr, self._said)),
        ]
        for one in self._listening:
            one.daemon = True
            one.start()
        # Also when this process ends.
        self.end = weakref.finalize(self, _end, self._process)

    def ask(
        self, request: dict[str, Any], limits: Limits, images: Sequence[Pixels] = ()
    ) -> dict[str, Any]:
        """Its answer to a request; `LostError` where it gives none, after which it has ended."""
        try:
            self._send(request, images)
            return self._answer(limits)
        except BaseException:
            # An answer that comes later would be taken for the next one's; so also for Ctrl-C.
            _kill(self._process)
            self.end()
            raise

    def _send(self, message: dict[str, Any], images: Sequence[Pixels] = ()) -> None:
        """Send without waiting for a process that does not read."""
        stream: Any = self._process.stdin

        def write() -> None:
            # Where the pipe is closed, the process has ended, which its answer will say.
            with contextlib.suppress(OSError, ValueError):
                frames.write(stream, message, images)

        threading.Thread(target=write, daemon=True).start()

    def _answer(self, limits: Limits) -> dict[str, Any]:
        until = time.monotonic() + limits.seconds
        while True:
            try:
                found = self._arrived.get(timeout=_LOOK)
            except queue.Empty:
                self._look(until, limits)
                continue
            if found is None:
                raise self._lost()
            if isinstance(found, frames.FrameError):
                raise LostError(f"its process answered with something else ({found})")
            if "locate" not in found:
                return found
            self._send(self._located(found["locate"]))

    def _look(self, until: float, limits: Limits) -> None:
        """Raise `LostError` for a process that has ended, holds too much or is late."""
        # A process that it started may hold its pipe open.
        if _ended(self._process) and self._arrived.empty():
            raise self._lost()
        held = _held(self._process.pid)
        if limits.memory_gib is not None and held > limits.memory_gib * _GIB:
            raise LostError(
                f"its process held {held / _GIB:.1f} GiB of memory, and memory_gib allows"
                f" {limits.memory_gib:g}{self._last_words()}"
            )
        if time.monotonic() > until:
            raise LostError(
                f"its process gave no answer in {limits.seconds:g} seconds ({limits.setting} in the"
                f" judge's table says how many it has){self._last_words()}",
                late=True,
            )

    def _located(self, named: Any) -> dict[str, Any]:
        try:
            return {"located": str(self._locate(str(named)))}
        except (ValueError, OSError) as error:
            return {"not_located": str(error)}

    def _lost(self) -> LostError:
        ended = _ends(self._process)
        words = self._last_words()
        if not ended:
            return LostError(f"its process closed the connection and went on{words}")
        _kill(self._process)
        code = self._process.wait()
        if code < 0:
            out_of_memory = (
                ", as where memory ran out" if -code == getattr(signal, "SIGKILL", 9) else ""
            )
            return LostError(
                f"its process was ended by signal {-code} ({_signal(-code)}{out_of_memory}){words}"
            )
        return LostError(f"its process ended with exit code {code}{words}")

    def _last_words(self) -> str:
        # What it wrote just before; another process may hold the pipe open.
        self._listening[1].join(0.5)
        said = " / ".join(line for line in self._said if line)
        return f"; it last wrote: {said}" if said else ""


def _listen(stream: Any, arrived: "queue.Queue[dict[str, Any] | frames.FrameError | None]") -> None:
    buffered = io.BufferedReader(stream)
    try:
        while (message := frames.read(buffered)) is not None:
            arrived.put(message)
    except frames.FrameError as error:
        arrived.put(error)
    except (OSError, ValueError):
        pass
    arrived.put(None)


def _keep_lines(stream: Any, said: "deque[str]") -> None:
    """Keep the last lines, and let no line be longer than is shown."""
    with contextlib.suppress(OSError, ValueError):
        buffered = io.BufferedReader(stream)
        while raw := buffered.readline(1 << 16):
            line = raw.decode(errors="replace").strip()
            said.append(line if len(line) <= _LINE else f"{line[:_LINE]}...")


def _held(pid: int) -> int:
    """Bytes of memory that a process holds; 0 where that is not known."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "of the system's own"


def _ended(process: "subprocess.Popen[bytes]") -> bool:
    """Whether a process has ended, without waiting for it, after which its number may be another's.

    Its group, which has that number, is to be ended first.
    """
    if process.returncode is not None:
        return True
    if not hasattr(os, "waitid"):
        return process.poll() is not None
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # somebody else has waited for it
        return process.poll() is not None


def _ends(process: "subprocess.Popen[bytes]") -> bool:
    """Whether a process ends by itself, with patience."""
    until = time.monotonic() + _PATIENCE
    while not _ended(process) and time.monotonic() < until:
        time.sleep(_LOOK / 10)
    return _ended(process)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End a process and all that it started, at once."""
    if process.returncode is not None:
        return
    if hasattr(os, "killpg"):
        # Its group has its number, and may have members where it has ended itself.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Let a process end by itself: its input closes. Then end what is left."""
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    _ends(process)
    _kill(process)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_PATIENCE)
