"""Image folders, Hugging Face's layout: pictures with `metadata.jsonl` or `metadata.csv`.

Each row of the metadata has a `file_name` and a caption.
"""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spqr_tests import files
from spqr_tests.data.pictures.row import Row
from spqr_tests.errors import InputError

NAMES = ("metadata.jsonl", "metadata.csv")
_FILE = "file_name"
_LARGEST = 512 * 2**20


def rows(metadata: Path, column: str) -> Iterator[Row]:
    """The rows of a `.jsonl` or `.csv` file, whose captions are in `column`.

    `InputError` names the first line that is not a row.
    """
    text = files.text(metadata, most=_LARGEST)
    yield from (_lines if metadata.suffix == ".jsonl" else _table)(metadata, text, column)


def _lines(metadata: Path, text: str, column: str) -> Iterator[Row]:
    # splitlines would also split at characters that JSON allows within a string.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{metadata}, line {number}"
        try:
            row: Any = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where}: expected an object with {_FILE} and {column}.") from error
        if not isinstance(row, dict) or _FILE not in row or column not in row:
            found = f", but it has {', '.join(row) or 'nothing'}" if isinstance(row, dict) else ""
            raise InputError(f"{where}: expected an object with {_FILE} and {column}{found}.")
        yield Row(where, row[_FILE], row[column])


def _table(metadata: Path, text: str, column: str) -> Iterator[Row]:
    table = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(table, [])
        for one in (_FILE, column):
            if header.count(one) != 1:
                raise InputError(
                    f"{metadata} has {header.count(one) or 'no'} columns {one}: expected one"
                    f" {_FILE} and one {column}, but its first line has"
                    f" {', '.join(header) or 'nothing'}."
                )
        for row in table:
            where = f"{metadata}, line {table.line_num}"
            if row and len(row) != len(header):
                raise InputError(
                    f"{where} has {len(row)} fields, but the first line names {len(header)}"
                    " columns."
                )
            if row:
                yield Row(where, row[header.index(_FILE)], row[header.index(column)])
    except csv.Error as error:
        raise InputError(
            f"{metadata}, line {table.line_num}: this is not readable CSV ({error})."
        ) from error
