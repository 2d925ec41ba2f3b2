"""Tab-separated files: plain text a line, unless their quotes are those that CSV writers set.

PartiPrompts is plain: `"HELLO" painted on a wall` has its quotes. pandas, csv and spreadsheets
quote a cell that holds a tab, a line break, a quote or a comma, and double its quotes.
"""

import re
from pathlib import Path

from spqr_tests.errors import InputError

# A cell in which every quote opens, closes or is doubled within, and what ends it. Possessive, so
# that a match takes time in proportion to the text.
_CELL = r'(?:[^"\t\r\n]*+|"(?:[^"]|"")*+")(?:\t|\r\n?|\n|\Z)'
_WRITTEN = re.compile(rf"(?:{_CELL})*+")
_QUOTED = re.compile(r'"((?:[^"]|"")*+)"')
_NEEDS_QUOTES = re.compile(r'["\t\r\n,]')
_LINE = re.compile(r"\r\n?|\n")


def is_quoted(path: Path, text: str) -> bool:
    """Whether the quotes are CSV's, and no part of the cells.

    They are where the header's first cell is quoted as a whole, or where all quotes are of cells
    that a CSV writer must quote, or that are empty. `InputError` where a line break may be either
    in a cell or between two rows.
    """
    header = next((line for line in _LINE.split(text) if line.strip()), "")
    if header.startswith('"') and _WRITTEN.fullmatch(header):
        return True
    if '"' not in text or not _WRITTEN.fullmatch(text):
        return False
    cells = [cell[1] for cell in _QUOTED.finditer(text)]
    if not all(cell == "" or _NEEDS_QUOTES.search(cell) for cell in cells):
        return False
    if any(_LINE.search(cell) for cell in cells):
        widths = {line.count("\t") for line in _LINE.split(text) if line}
        if len(widths) == 1:
            raise InputError(
                f"The prompt set {path} has a quote that a later line closes, which may be one"
                " prompt of several lines or several with a quote each: save it as .jsonl."
            )
    return True
