"""Tables in the terminal: a column of names, and columns of numbers."""

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from rich.console import Console
from rich.text import Text

from spqr_tests import quotes
from spqr_tests.plugin import plain

_INDENT = 2
_GAPS = (2, 1)
"""Columns between two columns, the widest that leaves room for the names."""


@dataclass
class Table:
    """Rows of a name and numbers, each in rich's markup, and a title."""

    heads: tuple[str, ...]
    title: str = ""
    rows: list[tuple[Text, ...]] = field(default_factory=list)

    def add_row(self, *cells: str) -> None:
        """Add a row; cells that it lacks are empty."""
        padded = (*cells, *[""] * (len(self.heads) - len(cells)))
        self.rows.append(tuple(Text.from_markup(quotes.line(cell)) for cell in padded))


def table(first: str, *others: str, title: str = "") -> Table:
    """An empty table: `first` is the column of names."""
    return Table((first, *others), title)


def lines(made: Table, width: int | None) -> list[Text]:
    """The title and the rows, each at most `width` columns wide; with None as wide as it takes.

    A name that is too long has a line of its own above its numbers. Where the numbers themselves
    are too wide, each is named, and they follow each other. One number or name is never broken;
    a name that no terminal has room for is cut.
    """
    heads = tuple(Text(head, style="bold") for head in made.heads)
    rows = [(_fitting(name, width), *numbers) for name, *numbers in (heads, *made.rows)]
    said = [Text(line) for line in plain.wrap(made.title, width)] if made.title else []
    widths = [max(row[column].cell_len for row in rows) for column in range(len(heads))]
    for gap in _GAPS:
        room = None if width is None else width - sum(widths[1:]) - gap * (len(widths) - 1)
        if room is None or widths[0] <= room:
            break
    if room is not None and room < 0:
        return [*said, *_stacked(rows, width or 0)]
    names = widths[0] if room is None else min(widths[0], room)
    for name, *numbers in rows:
        line = Text()
        if name.cell_len > names:
            said.append(name)
        else:
            line.append_text(name)
        if any(number.cell_len for number in numbers):
            line.append(" " * (names - line.cell_len))
            for number, wide in zip(numbers, widths[1:], strict=True):
                line.append(" " * (gap + wide - number.cell_len)).append_text(number)
        if line.cell_len:
            said.append(line)
    return said


def _fitting(name: Text, width: int | None) -> Text:
    kept = plain.word(name.plain, width)
    return name if kept == name.plain else Text(kept, style=name.style)


def _stacked(rows: Sequence[tuple[Text, ...]], width: int) -> Iterator[Text]:
    """Each name, and below it its numbers with the headings of their columns."""
    (_, *heads), *others = rows
    for name, *numbers in others:
        yield name
        named = [
            Text.assemble(f"{head.plain} ", number)
            for head, number in zip(heads, numbers, strict=True)
            if number.cell_len
        ]
        yield from _packed(named, width)


def _packed(parts: Iterable[Text], width: int) -> Iterator[Text]:
    """Parts with commas between them, as many in a line as it takes."""
    line = Text()
    for part in parts:
        if line and line.cell_len + len(", ,") + part.cell_len > width:
            yield line.append(",")
            line = Text()
        line.append(", " if line else " " * _INDENT).append_text(part)
    if line:
        yield line


def width_of(terminal: pytest.TerminalReporter) -> int | None:
    """The columns of a terminal; None for a log, in which nothing is broken."""
    return terminal._tw.fullwidth if terminal.isatty else None  # noqa: SLF001


def write(terminal: pytest.TerminalReporter, made: Table) -> None:
    """Write a table and an empty line, in the terminal's width and colours.

    A table without rows is not written.
    """
    if not made.rows:
        return
    # By the line: pytest escapes the whole of a text that the terminal's encoding lacks.
    for line in _coloured(lines(made, width_of(terminal)), colour=terminal.hasmarkup):
        terminal.write(line.rstrip())
        terminal.line("")
    terminal.line("")


def _coloured(said: Sequence[Text], *, colour: bool) -> Iterator[str]:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=colour, no_color=not colour, highlight=False)
    for line in said:
        stream.seek(stream.truncate(0))
        console.print(line, soft_wrap=True, end="")
        yield stream.getvalue()


def say(terminal: pytest.TerminalReporter, line: str, **markup: bool) -> None:
    """Write a sentence, broken between words where it does not fit into the terminal."""
    for part in plain.wrap(line, width_of(terminal)):
        terminal.write_line(part, **markup)


def head(terminal: pytest.TerminalReporter, title: str) -> None:
    """Begin a section, with a rule where the title leaves room for one."""
    width = width_of(terminal)
    title = quotes.line(title)
    if width is None or len(title) + 4 <= width:
        terminal.section(title, sep="=", bold=True)
    else:
        terminal.ensure_newline()
        say(terminal, title, bold=True)
