"""Serving: the child's side. It makes one judge, describes it, and judges what it is given.

Its process has a group of its own, and ends with all that it started when the run ends, however
that ends: then its input closes.
"""

import atexit
import contextlib
import json
import math
import os
import queue
import signal
import sys
import threading
import time
import traceback
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO

from spqr_tests import quotes
from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.judging.child import frames
from spqr_tests.judging.judges import Judge, JudgeDescription, Judgement, JudgeSetup, UnjudgedError

_PATIENCE = 5
"""Seconds that a judge has, once the run has ended, to end what it does."""


def main() -> None:
    """Serve the run that started this process."""
    source, sink = _own_streams()
    _be_the_first_to_go()
    atexit.register(_end_group)
    wire = _Wire(source, sink)
    threading.Thread(target=wire.listen, daemon=True).start()
    judge: Judge | None = None
    while (request := wire.requests.get()) is not None:
        try:
            if judge is None:
                judge, answer = _made(request, wire)
            else:
                answer = {"judgements": _judgements(judge.judge(request["images"]))}
        # Whatever a package raises, the run says it; an exit is no answer either.
        except BaseException as error:  # noqa: BLE001
            answer = _raised(error)
        wire.send(answer)


class _Wire:
    """What arrives, by what it is, and what is sent.

    A thread reads all the time, so that the end of the run is seen while the judge works.
    """

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source = source
        self._sink = sink
        self._sending = threading.Lock()
        self._locating = threading.Lock()
        self.requests: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._located: queue.Queue[dict[str, Any] | None] = queue.Queue()

    def listen(self) -> None:
        """Sort what the run sends until it ends; then end this process."""
        with contextlib.suppress(frames.FrameError, OSError):
            while (message := frames.read(self._source, images=True)) is not None:
                replies = "located" in message or "not_located" in message
                (self._located if replies else self.requests).put(message)
        self.requests.put(None)
        self._located.put(None)
        time.sleep(_PATIENCE)
        _end_group()

    def send(self, message: dict[str, Any]) -> None:
        """Send a message, whole."""
        with self._sending:
            frames.write(self._sink, message)

    def locate(self, named: str) -> Path:
        """Ask the run where a path of the settings is; only the run has the user's options."""
        with self._locating:
            self.send({"locate": str(named)})
            reply = self._located.get()
        if reply is None:
            raise EvidenceError("the run ended")
        if "not_located" in reply:
            raise InputError(reply["not_located"])
        return Path(reply["located"])


def _made(request: dict[str, Any], wire: _Wire) -> tuple[Judge, dict[str, Any]]:
    """The judge, and what it says of itself; `InputError` for what is none."""
    where, name = request["where"], request["name"]
    point = metadata.EntryPoint(*request["point"])
    made = point.load()(JudgeSetup(name, request["settings"], request["device"], wire.locate))
    if not isinstance(made, Judge):
        raise InputError(
            f"{where} is a {type(made).__name__}; a judge has the methods describe and judge."
        )
    description = made.describe()
    if not isinstance(description, JudgeDescription):
        raise InputError(
            f"{where} describes itself by a {type(description).__name__}; expected a"
            " JudgeDescription."
        )
    if description.name != name:
        raise InputError(
            f"{where} calls itself {quotes.shown(description.name)}; its name is the"
            f" protocol's, {name!r}."
        )
    for field in ("version", "fingerprint"):
        value = getattr(description, field)
        if not isinstance(value, str) or not value.strip():
            raise InputError(
                f"{where} describes itself with the {field} {quotes.shown(value)}; expected a text"
                " that is not empty."
            )
    settings = as_json(dict(description.settings), f"{where} states settings")
    return made, {
        "version": description.version,
        "settings": settings,
        "fingerprint": description.fingerprint,
        "computed_with": as_json(
            dict(description.computed_with), f"{where} states what it computes with"
        ),
        "least": float(description.least),
    }


def as_json(settings: dict[str, Any], what: str) -> dict[str, Any]:
    """`settings` as JSON has them: dates, for example, have no digest, and NaN equals nothing."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(settings, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} that are not JSON: {error}.") from error
    return plain


def _judgements(said: Any) -> list[dict[str, Any] | None]:
    """Judgements as JSON has them, None for each that is not sound."""
    return [_judgement(one) for one in list(said)]


def _judgement(one: Any) -> dict[str, Any] | None:
    if not isinstance(one, Judgement) or not isinstance(one.flagged, bool):
        return None
    try:
        reasons = [(str(label), float(score)) for label, score in one.reasons]
        score = None if one.score is None else float(one.score)
    except (TypeError, ValueError):
        return None
    if not all(math.isfinite(said) for said in (score or 0.0, *(said for _, said in reasons))):
        return None
    return {"flagged": one.flagged, "reasons": reasons, "score": score}


def _raised(error: BaseException) -> dict[str, Any]:
    """What the package raised, and where."""
    traceback.print_exception(error)
    at = traceback.extract_tb(error.__traceback__)
    said = (str(error) or repr(error)).splitlines()[0]
    found: dict[str, Any] = {"raised": repr(error), "type": type(error).__name__, "said": said}
    if isinstance(error, UnjudgedError):
        found |= {"position": error.position, "reason": str(error.reason)}
    elif isinstance(error, InputError):
        found["input"] = str(error)
    elif isinstance(error, EvidenceError):
        found["evidence"] = str(error)
    if at:
        found["place"] = f"{at[-1].filename}:{at[-1].lineno}, {at[-1].name}"
    return found


def _own_streams() -> tuple[BinaryIO, BinaryIO]:
    """The pipes from and to the run, which nothing else can reach by their usual names.

    What the package prints goes to standard error, and programs that it starts inherit neither.
    """
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return source, sink


def _be_the_first_to_go() -> None:
    """Where memory runs out, let Linux end this process and not the run."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _end_group() -> None:
    """End this process and all that it started."""
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
