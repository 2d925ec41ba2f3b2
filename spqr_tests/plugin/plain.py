"""Plain text for a terminal: nothing in a name moves the cursor, colours or turns what follows."""

from rich.cells import cell_len, set_cell_size

from spqr_tests import quotes

_LONGEST = 200
_CUT = "[...]"
_INDENT = "  "


def cut(line: str, width: int) -> str:
    """A line of at most `width` columns."""
    line = quotes.line(line)
    return line if cell_len(line) <= width else set_cell_size(line, max(0, width))


def wrap(line: str, width: int | None) -> list[str]:
    """A line in as many as it takes, each of at most `width` columns; with None in one.

    Words that are longer, such as paths and names, are left whole: a terminal breaks them itself.
    A word that no name or path of a run is as long as is cut (`word`).
    """
    line = " ".join(word(one, width) for one in quotes.line(line).split(" "))
    if width is None or cell_len(line) <= width:
        return [line]
    first, *words = line.split(" ")
    said = [first]
    for one in words:
        if said[-1].strip() and cell_len(f"{said[-1]} {one}") > width:
            said.append(f"{_INDENT}{one}")
        else:
            said[-1] += f" {one}"
    return said


def word(text: str, width: int | None) -> str:
    """A word or a name: one of more than 200 columns fits the width, and ends with [...]."""
    if cell_len(text) <= _LONGEST:
        return text
    room = _LONGEST if width is None else min(width - len(_INDENT), _LONGEST)
    return set_cell_size(text, max(0, room - len(_CUT))).rstrip() + _CUT
