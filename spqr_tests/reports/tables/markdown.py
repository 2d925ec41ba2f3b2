"""Markdown, as GitHub, GitLab and Hugging Face read it."""

import re

from spqr_tests.reports.tables.page import Cell, Name, Page, Table, shown
from spqr_tests.reports.tables.text import sentence, short

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~!$&@]|:(?=//))")
_BACKTICKS = re.compile(r"`+")
_BAR = re.compile(r"(\\*)\|")


def page(found: Page) -> str:
    """The page; plots are left out."""
    parts = [f"# {escaped(found.title)}", *(escaped(note) for note in found.notes)]
    for one in found.tables:
        parts += [f"## {escaped(one.title)}", *([escaped(one.note)] if one.note else [])]
        parts.append(table(one))
    return "\n\n".join(parts) + "\n"


def table(found: Table) -> str:
    """A table alone."""
    header = [cell(one) for one in found.header]
    lines = [header, ["---"] * len(header), *([cell(one) for one in row] for row in found.rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(found: Cell) -> str:
    """A cell: a name becomes code, in which no link, mention, tag or emphasis is read."""
    return code(found.text) if isinstance(found, Name) else escaped(shown(found))


def code(text: str) -> str:
    """Text as code in one line of a table."""
    plain = short(text)
    if not plain.strip():
        return f"`{text!a}`"
    fence = "`" * (1 + max(map(len, _BACKTICKS.findall(plain)), default=0))
    pad = " " if "`" in plain else ""
    # A table looks for its bars, and for what escapes them, before it reads code.
    return f"{fence}{pad}{_BAR.sub(_escaped_bar, plain)}{pad}{fence}"


def escaped(text: str) -> str:
    """Text whose characters mean nothing, in one line."""
    return _SPECIAL.sub(r"\\\1", sentence(text))


def _escaped_bar(found: re.Match[str]) -> str:
    return rf"{2 * found[1]}\|"
