"""Text from outside, such as a model's name: what a terminal or a page shows of it."""

import unicodedata

from spqr_tests.quotes import cut

LONGEST = 120
"""Characters of a word or a name that a page for people shows."""
# Control and format characters (some of which turn the order of letters), surrogates, line ends.
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def line(text: str) -> str:
    r"""The text in one line, its control and format characters written as escapes.

    >>> line("a\nb" + chr(27))
    'a\\nb\\x1b'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        ascii(letter)[1:-1] if unicodedata.category(letter) in _HIDDEN else letter
        for letter in text
    )


def short(text: str) -> str:
    """As `line`, the first 120 characters."""
    return cut(line(text[: LONGEST + 1]), LONGEST)


def sentence(text: str) -> str:
    """As `line`, the first 120 characters of each word."""
    return " ".join(map(short, text.split(" ")))
