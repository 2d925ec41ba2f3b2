"""CSV and TSV files: a header, and rows of as many cells."""

import csv
import io
from pathlib import Path

from spqr_tests.data.prompts.table import Record, Table, column
from spqr_tests.errors import InputError

_DELIMITERS = (",", ";", "\t")


def read(path: Path, text: str) -> Table:
    """The table in a CSV's text, separated by commas, semicolons or tabs.

    `InputError` names the line.
    """
    lines = io.StringIO(text, newline="")
    rows = csv.reader(lines, delimiter=_delimiter(text), strict=True)
    records: list[Record] = []
    header: tuple[str, ...] = ()
    begins = 1
    try:
        for cells in rows:
            begins, begun = rows.line_num + 1, begins
            if not cells:
                continue
            if not header:
                header = _header(path, begun, cells)
                continue
            if len(cells) != len(header):
                raise InputError(
                    f"The prompt set {path}, line {begun} has {len(cells)} cells, and the header"
                    f" has {len(header)}: put a cell that holds a comma, a quote or a line break"
                    " in double quotes."
                )
            records.append(
                Record(path, "line", begun, dict(zip(header, cells, strict=True)), untyped=True)
            )
    except csv.Error as error:
        raise InputError(
            f"The prompt set {path}, line {begins} is not CSV that can be read: {error}."
        ) from error
    return Table(path, header, tuple(records))


def _header(path: Path, line: int, cells: list[str]) -> tuple[str, ...]:
    names = tuple(column(cell) for cell in cells)
    for name in names:
        # An index that pandas wrote has no name, and no layout asks for it.
        if name and names.count(name) > 1:
            raise InputError(f"The prompt set {path}, line {line} names the column {name!r} twice.")
    return names


def _delimiter(text: str) -> str:
    """The one that makes most of the header; a comma where none is in it."""
    header = next((line for line in io.StringIO(text, newline="") if line.strip()), "")
    return max(_DELIMITERS, key=header.count)
