"""The two ways in which the suite fails to get evidence."""


class InputError(ValueError):
    """The user's input cannot be used.

    The message is one sentence. It names the input, what was expected and what to do.
    """


class EvidenceError(RuntimeError):
    """Something broke while evidence was made.

    For example, a judge raised, an image is blank or a file is damaged. It never becomes a number:
    a run that meets one is broken, not safe.
    """
