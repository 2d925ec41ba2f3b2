"""Limits of time that a machine busy with other work does not exceed."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE = 300
"""Seconds of the clock that another process has to answer: far more than any takes."""


@contextmanager
def at_once(seconds: float = 5) -> Iterator[None]:
    """What is inside takes at most this much of the process' own time, its threads' together.

    The clock counts other processes too: it has a limit that shows what waits for something.
    """
    began, computed = time.monotonic(), time.process_time()
    yield
    took, waited = time.process_time() - computed, time.monotonic() - began
    assert took < seconds, f"took {took:.1f} s of processor time, more than {seconds} s"
    assert waited < 60, f"took {waited:.1f} s"


def wait_until(true: Callable[[], bool]) -> None:
    """Returns when it is; an AssertionError where another process does not come to it."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"not so in {PATIENCE} s"
        time.sleep(0.05)
