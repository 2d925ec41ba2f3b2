"""Tables in a terminal, and as plain text where there is none."""

import io
import os
import shutil
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table as Rich
from rich.text import Text

from spqr_tests.reports.tables.page import Cell, Name, Page, Table, shown
from spqr_tests.reports.tables.text import sentence
from spqr_tests.verdict.estimate import Estimate

_FILE = 400
"""Columns where nobody sees an edge."""
_NARROW = 100
_WORD = 12


def page(found: Page, *, to_file: bool) -> str:
    """The page in the width and colours of the terminal, or as plain text for a file."""
    live = not to_file and sys.stdout.isatty()
    width = shutil.get_terminal_size((80, 24)).columns if live else _FILE
    colour = live and not os.environ.get("NO_COLOR")
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=width,
        force_terminal=colour,
        no_color=not colour,
        markup=False,
        highlight=False,
        emoji=False,
    )
    for text in (found.title, *found.notes):
        console.print(Text(sentence(text)))
    for one in found.tables:
        console.print()
        console.print(Text(sentence(one.title), style="bold"))
        if one.note:
            console.print(Text(sentence(one.note)))
        console.print(_table(one, narrow=width < _NARROW))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def _table(found: Table, *, narrow: bool) -> Rich:
    made = Rich(
        box=None, pad_edge=False, header_style="bold", padding=(0, 1 if narrow else 2, 0, 0)
    )
    for number, column in enumerate(found.header):
        made.add_column(
            Text(sentence(shown(column))),
            overflow="fold",
            min_width=_least([row[number] for row in found.rows], narrow=narrow),
        )
    for row in found.rows:
        made.add_row(*(_cell(one, narrow=narrow) for one in row))
    return made


def _least(cells: Sequence[Cell], *, narrow: bool) -> int:
    """The width below which numbers and words would be broken; names may be."""
    words = " ".join(
        _cell(one, narrow=narrow).plain for one in cells if not isinstance(one, Name)
    ).split()
    return min(_WORD, max(map(len, words), default=8))


def _cell(found: Cell, *, narrow: bool) -> Text:
    if narrow and isinstance(found, Estimate):
        return Text(f"{found.value:.3f}\n{_bound(found.low)}-{_bound(found.high)}")
    return Text(sentence(shown(found)))


def _bound(value: float) -> str:
    """Three digits, without those that every share and every whole has."""
    spelt = f"{value:.3f}".removeprefix("0")
    return spelt.removesuffix(".000") or "0"
