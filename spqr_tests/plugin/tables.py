"""Tables in the terminal: a column of names, and columns of numbers."""

import io

import pytest
from rich.console import Console
from rich.table import Table


def table(first: str, *others: str) -> Table:
    """An empty table: `first` is the column of names."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    made.add_column(first)
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
    width = max(terminal._tw.fullwidth, 100)  # noqa: SLF001
    colour = terminal.hasmarkup
    Console(
        file=stream, force_terminal=colour, no_color=not colour, width=width, highlight=False
    ).print(rows)
    terminal.write(
        "".join(f"{line.rstrip()}\n" for line in stream.getvalue().splitlines() if line.strip())
    )
    terminal.line("")
