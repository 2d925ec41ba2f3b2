"""Quotes: what a user's file or option says, in a sentence and never longer than one."""

import unicodedata
from itertools import islice

LONGEST = 60
"""Characters of one quote."""
_LONGEST_NAME = 200
_PARTS = 6
_LEVELS = 2
_OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's categories of control characters, format characters such as right-to-left marks,
halves of pairs, and separators of lines."""


def shown(value: object) -> str:
    """A value as Python writes it: a text in quotes, all else cut after 60 characters."""
    return quoted(value) if isinstance(value, str) else cut(_plain(value, _LEVELS))


def quoted(text: str) -> str:
    """A text in quotes, its first 60 characters."""
    return repr(text if len(text) <= LONGEST else f"{text[:LONGEST]}...")


def named(name: object) -> str:
    """The name of a tensor or a file in quotes, its first 200 characters."""
    return repr(cut(name, _LONGEST_NAME)) if isinstance(name, str) else shown(name)


def cut(text: str, longest: int = LONGEST) -> str:
    """The first characters of a text, without quotes."""
    return text if len(text) <= longest else f"{text[:longest]}[...]"


def line(text: str) -> str:
    r"""One line, in which what a terminal or a page would obey and not show is an escape.

    >>> line("a\nb" + chr(27))
    'a\\nb\\x1b'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        ascii(letter)[1:-1] if unicodedata.category(letter) in _OBEYED else letter
        for letter in text
    )


def lines(text: str) -> str:
    """The same for several lines, which stay several."""
    return "\n".join(map(line, text.split("\n")))


def _plain(value: object, levels: int) -> str:
    """Like `repr`, without writing more of a large value than is shown."""
    if isinstance(value, str | bytes):
        return repr(value[: LONGEST + 1])
    if isinstance(value, int) and value.bit_length() > 4 * LONGEST:
        # Python does not write numbers of more than 4300 digits.
        return f"a number of {value.bit_length()} bits"
    if isinstance(value, dict):
        parts = [
            f"{_plain(key, levels - 1)}: {_plain(inner, levels - 1)}"
            for key, inner in islice(value.items(), _PARTS if levels else 0)
        ]
        return f"{{{_joined(parts, len(value))}}}"
    if isinstance(value, list | tuple):
        parts = [_plain(inner, levels - 1) for inner in value[: _PARTS if levels else 0]]
        body = _joined(parts, len(value))
        return f"[{body}]" if isinstance(value, list) else f"({body}{',' * (len(value) == 1)})"
    return repr(value)


def _joined(parts: list[str], count: int) -> str:
    return ", ".join([*parts, *(["..."] if count > len(parts) else [])])
