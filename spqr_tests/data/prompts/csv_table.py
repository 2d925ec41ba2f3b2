"""CSV and TSV files: a header, and rows of as many cells."""

import csv
import io
import itertools
from collections.abc import Iterator
from pathlib import Path

from spqr_tests import quotes
from spqr_tests.data.prompts import registered_layouts, tab_separated
from spqr_tests.data.prompts.table import Record, Table, column
from spqr_tests.errors import InputError

_DELIMITERS = (",", ";", "\t")
# No column of a published set is named by as many words.
_WORDS = 3
# The widest published set, ViSU-Text, has a dozen.
_MOST_COLUMNS = 1000


def read(path: Path, text: str) -> Table:
    """The table in a CSV's text, separated by commas, semicolons or tabs.

    `InputError` names the line.
    """
    delimiter = _delimiter(path, text)
    plain = delimiter == "\t" and not tab_separated.is_quoted(path, text)
    rows = _lines(text) if plain else _quoted(path, text, delimiter)
    records: list[Record] = []
    header: tuple[str, ...] = ()
    for line, cells in rows:
        if not header:
            header = _header(path, text, line, cells)
            continue
        if len(cells) != len(header):
            way = (
                "cells are separated by tabs, and quotes are part of their text."
                if plain
                else "put a cell that holds a comma, a quote or a line break in double quotes."
            )
            raise InputError(
                f"The prompt set {path}, line {line} has {len(cells)} cells, and the header has"
                f" {len(header)}: {way}"
            )
        records.append(
            Record(path, "line", line, dict(zip(header, cells, strict=True)), untyped=True)
        )
    return Table(path, header, tuple(records))


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """The cells of each line that is not empty, and its number, from 1."""
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
        if cells := line.removesuffix("\n"):
            yield number, cells.split("\t")


def _quoted(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The cells of each row that is not empty, and the number of the line where it begins."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begins = 1
    try:
        for cells in rows:
            begins, begun = rows.line_num + 1, begins
            if cells:
                yield begun, cells
    except csv.Error as error:
        raise InputError(
            f"The prompt set {path}, line {begins} is not CSV that can be read: {error}."
        ) from error


def _header(path: Path, text: str, line: int, cells: list[str]) -> tuple[str, ...]:
    if len(cells) > _MOST_COLUMNS:
        raise InputError(
            f"The prompt set {path}, line {line} names {len(cells)} columns; at most"
            f" {_MOST_COLUMNS} are read. Leave out those that are not needed."
        )
    names = tuple(column(cell) for cell in cells)
    if registered_layouts.columns().isdisjoint(names) and (
        len(names) == 1 or any(map(_is_content, names))
    ):
        first = next(itertools.islice(io.StringIO(text, newline=None), line - 1, None))
        raise InputError(
            f"The prompt set {path} has no header row: its first line is"
            f" {quotes.quoted(first.strip())}; expected the names of the columns there, such as"
            " prompt."
        )
    for name in names:
        # An index that pandas wrote has no name, and no layout asks for it.
        if name and names.count(name) > 1:
            raise InputError(
                f"The prompt set {path}, line {line} names the column {quotes.shown(name)} twice."
            )
    return names


def _is_content(name: str) -> bool:
    """Whether a cell of the first line is a prompt or a number, and no column's name."""
    return len(name.split()) >= _WORDS or name.replace(".", "", 1).isdecimal()


def _delimiter(path: Path, text: str) -> str:
    """The one that makes most of the header; where none is in it, a tab in a .tsv, else a comma."""
    header = next((line for line in io.StringIO(text, newline="") if line.strip()), "")
    most = max(_DELIMITERS, key=header.count)
    return "\t" if path.suffix.lower() == ".tsv" and most not in header else most
