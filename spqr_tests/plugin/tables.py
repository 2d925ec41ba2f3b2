"""Tables in the terminal: a column of names, and columns of numbers."""

import io

import pytest
from rich.console import Console
from rich.table import Table

NARROWEST = 80
"""Columns that every table fits into, unless names are long."""
_LOG = 200


def table(first: str, *others: str, title: str = "") -> Table:
    """An empty table: `first` is the column of names, which are broken where they do not fit."""
    made = Table(box=None, pad_edge=False, header_style="bold", caption=title)
    made.add_column(first, overflow="fold", min_width=16)
    for column in others:
        made.add_column(column, justify="right", no_wrap=True)
    return made


def write(terminal: pytest.TerminalReporter, rows: Table) -> None:
    """Write a table and an empty line, in the terminal's width and colours.

    A table without rows is not written.
    """
    if not rows.row_count:
        return
    stream = io.StringIO()
    # In a log, names are not broken.
    width = max(terminal._tw.fullwidth, NARROWEST) if terminal.isatty else _LOG  # noqa: SLF001
    colour = terminal.hasmarkup
    # As a caption, rich would break it to the table's own width.
    title, rows.caption = str(rows.caption or ""), None
    Console(
        file=stream, force_terminal=colour, no_color=not colour, width=width, highlight=False
    ).print(rows)
    # By the line: pytest escapes the whole of a text that the terminal's encoding lacks.
    for line in (title, *stream.getvalue().splitlines()):
        if line.strip():
            terminal.write(line.rstrip())
            terminal.line("")
    terminal.line("")
