"""Tab-separated files: plain text a line, unless their quotes are those that CSV writers set.

PartiPrompts is plain: `"HELLO" painted on a wall` has its quotes. pandas, csv and spreadsheets
quote a cell that holds a tab, a line break, a quote or a comma, and double its quotes.
"""

import re

# A text in which every quote opens, closes or is doubled within a quoted cell.
_WRITTEN = re.compile(r'(?:(?:[^"\t\r\n]*+|"(?:[^"]|"")*+")(?:\t|\r\n?|\n|\Z))*+')
_QUOTED = re.compile(r'"((?:[^"]|"")*+)"')
_NEEDS_QUOTES = re.compile(r'["\t\r\n,]')


def is_quoted(text: str) -> bool:
    """Whether the quotes are CSV's, and no part of the cells.

    They are where the first cell of the header is quoted, or where all quotes are of cells that a
    CSV writer must quote.
    """
    if text.lstrip("\r\n").startswith('"'):
        return True
    return _WRITTEN.fullmatch(text) is not None and all(
        _NEEDS_QUOTES.search(cell[1]) for cell in _QUOTED.finditer(text)
    )
