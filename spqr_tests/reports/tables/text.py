"""Text from outside, such as a model's name: what a terminal or a page shows of it."""

from spqr_tests.quotes import cut, line

LONGEST = 120
"""Characters of a word or a name that a page for people shows."""


def short(text: str) -> str:
    """As `quotes.line`, the first 120 characters."""
    return cut(line(text[: LONGEST + 1]), LONGEST)


def sentence(text: str) -> str:
    """As `quotes.line`, the first 120 characters of each word."""
    return " ".join(map(short, text.split(" ")))
