"""A page: tables and plots under a title, independent of the format that it is written in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spqr_tests.verdict.estimate import Estimate


@dataclass(frozen=True)
class Name:
    """What somebody else named, such as a model; formats show it as it is and as nothing else."""

    text: str


Cell = str | Name | Estimate | None
"""A cell of a table; None is empty."""
Record = Mapping[str, str | int | float | bool | None]
"""A row for programs: numbers are not rounded."""


@dataclass(frozen=True)
class Table:
    """Rows of cells, each as long as the header."""

    title: str
    header: Sequence[str | Name]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    """A sentence below the title."""


@dataclass(frozen=True)
class Plot:
    """An SVG picture, for formats that can show one; tables hold the same numbers."""

    title: str
    svg: str


@dataclass(frozen=True)
class Page:
    """What a command says."""

    title: str
    notes: Sequence[str]
    """Sentences below the title; they may hold text from outside."""
    parts: Sequence[Table | Plot]

    @property
    def tables(self) -> list[Table]:
        """Its tables, without plots."""
        return [part for part in self.parts if isinstance(part, Table)]


def shown(cell: Cell) -> str:
    """A cell as plain text, not escaped for any format."""
    if cell is None:
        return ""
    return cell.text if isinstance(cell, Name) else str(cell)
