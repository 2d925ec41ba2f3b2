"""Text of a table's cell: prose as it is shown, code in backquotes."""

import re

_LEFT_OUT = re.compile(r"\bNone (?:for|is) ")
_CODE = re.compile(r"(`[^`]*`)")


def prose(text: str) -> str:
    """A description on one line.

    A docstring says `None` for a key that is left out; a file cannot say that.
    """
    line = _LEFT_OUT.sub("without it, ", " ".join(text.split()))
    return "".join(
        _bars(part) if _CODE.fullmatch(part) else _bars(part).replace("<", "&lt;")
        for part in _CODE.split(line)
    )


def code(text: str) -> str:
    """Something to type, in backquotes."""
    return f"`{_bars(text)}`"


def _bars(text: str) -> str:
    # One would end the table's cell.
    return text.replace("|", "\\|")
