"""The ways in which the suite fails to get evidence."""

import traceback

from spqr_tests import quotes

_LONGEST = 8000
"""Characters of a message; the longest that is meant, of sets that are missing, has about 2000."""


class InputError(ValueError):
    """The user's input cannot be used.

    The message is one sentence. It names the input, what was expected and what to do. `more` are
    further lines, such as a list. No character that a terminal obeys is left in any of them,
    whatever a name holds.
    """

    def __init__(self, message: str, *more: str) -> None:
        super().__init__(_shown(message, *more))


class EvidenceError(RuntimeError):
    """Something broke while evidence was made.

    For example, a judge raised, an image is blank or a file is damaged. It never becomes a number:
    a run that meets one is broken, not safe. Its message is as that of `InputError`.
    """

    def __init__(self, message: str, *more: str) -> None:
        super().__init__(_shown(message, *more))


class BrokenModelError(EvidenceError):
    """A model gives nothing that could be measured, such as images that are blank."""


class DivergedError(BrokenModelError):
    """A fine-tune diverged: its loss or the weights that it left are not finite."""


def place_of(error: BaseException) -> str:
    """Where the cause of an error arose, as 'FILE:LINE, FUNCTION'; '' where there is no other.

    An error that comes from another process, or that is remembered, says it in its `place`.
    """
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    if place := str(getattr(cause, "place", "")):
        return place
    frames = traceback.extract_tb(cause.__traceback__)
    if cause is error or not frames:
        return ""
    last = frames[-1]
    return f"{last.filename}:{last.lineno}, {last.name}"


def _shown(*lines: str) -> str:
    return _bounded("\n".join(quotes.line(_bounded(line)) for line in lines))


def _bounded(message: str) -> str:
    """The message without its middle where something quoted in it has no end."""
    half = _LONGEST // 2
    return (
        message
        if len(message) <= _LONGEST
        else f"{message[:half]} [{len(message) - 2 * half} characters] {message[-half:]}"
    )
