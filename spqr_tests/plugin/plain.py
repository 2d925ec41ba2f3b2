"""Plain text for a terminal: nothing in a name moves the cursor, colours or turns what follows."""

import unicodedata

from rich.cells import cell_len, set_cell_size

_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's categories of control characters, format characters such as right-to-left marks,
halves of pairs, and separators of lines."""


def text(line: str) -> str:
    """A line with what a terminal would obey, and does not show, written as its escape."""
    if line.isascii() and line.isprintable():
        return line
    return "".join(
        one.encode("unicode-escape").decode("ascii")
        if unicodedata.category(one) in _HIDDEN
        else one
        for one in line
    )


def text_of(lines: str) -> str:
    """The same for several lines, which stay several."""
    return "\n".join(map(text, lines.split("\n")))


def cut(line: str, width: int) -> str:
    """A line of at most `width` columns."""
    line = text(line)
    return line if cell_len(line) <= width else set_cell_size(line, max(0, width))


def wrap(line: str, width: int | None) -> list[str]:
    """A line in as many as it takes, each of at most `width` columns; with None as it is.

    Words that are longer, such as paths and names, are left whole: a terminal breaks them itself.
    """
    line = text(line)
    if width is None or cell_len(line) <= width:
        return [line]
    first, *words = line.split(" ")
    said = [first]
    for word in words:
        if said[-1].strip() and cell_len(f"{said[-1]} {word}") > width:
            said.append(f"  {word}")
        else:
            said[-1] += f" {word}"
    return said
