"""What commands print for people: tables and lines, in which no name is obeyed."""

import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from spqr_tests import quotes


class Lines:
    """Standard output. Its lines are for other programs too, and are not broken."""

    def __init__(self) -> None:
        self._console = Console(
            file=sys.stdout, highlight=False, soft_wrap=True, markup=False, emoji=False
        )

    def say(self, line: str = "") -> None:
        """Print one line."""
        self._console.print(Text(quotes.line(line)))

    def show(self, table: Table) -> None:
        """Print a table whose rows `row` has added."""
        self._console.print(table)


def row(table: Table, *cells: str) -> None:
    """Add a row to a table."""
    table.add_row(*(Text(quotes.line(one)) for one in cells))
