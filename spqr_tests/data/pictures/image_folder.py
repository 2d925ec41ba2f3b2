"""Image folders, Hugging Face's layout: pictures with `metadata.jsonl` or `metadata.csv`.

Each row of the metadata has a picture's `file_name` and its caption. As in the library datasets,
the column may also be called `SOMETHING_file_name`, or hold a list of names and be called
`file_names` or `SOMETHING_file_names`; each picture of a list has the row's caption.
"""

import csv
import io
import json
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from spqr_tests import files, quotes
from spqr_tests.data.pictures.folder import left_out, visible
from spqr_tests.data.pictures.row import Row, Rows
from spqr_tests.errors import InputError
from spqr_tests.store.pictures import SUFFIXES, UNREAD_SUFFIXES

NAMES = ("metadata.jsonl", "metadata.csv")
_FILE = "file_name"
_LISTS = "file_names"
_LARGEST = 512 * 2**20
_MOST_COLUMNS = 1000
_SHOWN = 10


def read(metadata: Path, column: str) -> Rows:
    """The rows of a `.jsonl` or `.csv` file, whose captions are in `column`.

    `InputError` names the first line that is not a row.
    """
    text = files.text(metadata, most=_LARGEST)
    rows = list((_lines if metadata.suffix == ".jsonl" else _table)(metadata, text, column))
    return Rows(metadata.parent, rows, _unlisted(metadata.parent, rows))


def _unlisted(folder: Path, rows: Iterable[Row]) -> tuple[str, ...]:
    """A note about the pictures beside the metadata that no row names."""
    named = {
        # Most are plain names, and a path for each takes longer than reading its row.
        str(PurePosixPath(row.name)) if "/" in row.name else row.name
        for row in rows
        if isinstance(row.name, str)
    }
    left = [
        path.name
        for path in visible(folder)
        if path.suffix.lower() in SUFFIXES | UNREAD_SUFFIXES and path.name not in named
    ]
    return left_out(left, "pictures that no row of the metadata names")


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
        named = _file_column(row, where) if isinstance(row, dict) else None
        if named is None or column not in row:
            found = f", but it has {_listed(row)}" if isinstance(row, dict) else ""
            raise InputError(f"{where}: expected an object with {_FILE} and {column}{found}.")
        names = row[named]
        if named.endswith(_LISTS):
            if not isinstance(names, list) or not names:
                raise InputError(f"{where}: {named} is not a list of pictures' file names.")
        else:
            names = [names]
        for name in names:
            yield Row(where, name, row[column])


def _table(metadata: Path, text: str, column: str) -> Iterator[Row]:
    table = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(table, [])
        if len(header) > _MOST_COLUMNS:
            raise InputError(
                f"{metadata} has {len(header)} columns; at most {_MOST_COLUMNS} are read. Leave out"
                " those that are not needed."
            )
        named = _file_column([one for one in header if not one.endswith(_LISTS)], str(metadata))
        for one in (named or _FILE, column):
            if header.count(one) != 1:
                raise InputError(
                    f"{metadata} has {header.count(one) or 'no'} columns {one}: expected one"
                    f" {_FILE} and one {column}, but its first line has {_listed(header)}."
                )
        for row in table:
            where = f"{metadata}, line {table.line_num}"
            if row and len(row) != len(header):
                raise InputError(
                    f"{where} has {len(row)} fields, but the first line names {len(header)}"
                    " columns."
                )
            if row:
                yield Row(where, row[header.index(named or _FILE)], row[header.index(column)])
    except csv.Error as error:
        raise InputError(
            f"{metadata}, line {table.line_num}: this is not readable CSV ({error})."
        ) from error


def _listed(names: Collection[str]) -> str:
    """The names of columns or keys, at most ten of them."""
    shown = [quotes.cut(name) for name in islice(names, _SHOWN)]
    if len(names) > _SHOWN:
        shown.append(f"{len(names) - _SHOWN} more")
    return ", ".join(shown) or "nothing"


def _file_column(columns: Collection[str], where: str) -> str | None:
    """The column that names the pictures: `file_name` goes before others; None without any."""
    if _FILE in columns:
        return _FILE
    found = [one for one in columns if one == _LISTS or one.endswith((f"_{_FILE}", f"_{_LISTS}"))]
    if len(found) > 1:
        raise InputError(
            f"{where} names pictures in {' and in '.join(map(quotes.cut, found[:_SHOWN]))}:"
            " call the one that is meant"
            f" {_FILE}."
        )
    return found[0] if found else None
