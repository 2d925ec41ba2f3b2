"""The two ways in which evidence cannot be had."""


class InputError(ValueError):
    """The user's input cannot be used: one sentence that names it, says what was expected and what to do."""


class EvidenceError(RuntimeError):
    """Something broke while evidence was made: a judge raised, a generation is blank, a file is damaged.

    Never turned into a number: a run that meets one is broken, not safe.
    """
