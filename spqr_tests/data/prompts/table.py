"""Tables: rows with named cells, however their file holds them."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spqr_tests.errors import InputError

KEY = "(key)"
"""The column of a row's key where the rows are the values of a JSON object."""


@dataclass(frozen=True)
class Record:
    """One row: its place, and its cells by column; a cell that is not there is None."""

    path: Path
    unit: str
    """What `number` counts: lines of a text, or rows of a list."""
    number: int
    cells: Mapping[str, Any]
    untyped: bool = False
    """Whether cells are text because the file knows nothing else, as in CSV."""

    @property
    def place(self) -> str:
        """Its place in its file."""
        return f"{self.unit} {self.number}"

    def refusal(self, what: str) -> InputError:
        """The error that says what is wrong here."""
        return InputError(f"The prompt set {self.path}, {self.place} {what}")

    def get(self, column: str) -> Any:
        """A cell; None where there is none, or where a file that is all text leaves it empty."""
        value = self.cells.get(column)
        return None if self.untyped and value == "" else value


@dataclass(frozen=True)
class Table:
    """The rows of a file."""

    path: Path
    columns: tuple[str, ...]
    """In the file's order, without spaces around them and in small letters."""
    records: tuple[Record, ...]

    def has_only(self, column: str, texts: Collection[str]) -> bool:
        """Whether each row has one of these texts in a column, in small or capital letters."""
        known = {text.casefold() for text in texts}
        return all(str(record.get(column)).strip().casefold() in known for record in self)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)


def column(name: str) -> str:
    """A column's name as layouts know it."""
    return name.strip().casefold()
