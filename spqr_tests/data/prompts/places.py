"""Places: rows of a file in a sentence, by what their file counts."""

from collections.abc import Sequence

from spqr_tests import quotes
from spqr_tests.data.prompts.table import Record, Table

_SHOWN = 5
_COLUMNS = 20


def of(records: Sequence[Record]) -> str:
    """The places of records of one file, such as 'lines 3, 4 and 7'; there is at least one."""
    unit = records[0].unit if len(records) == 1 else f"{records[0].unit}s"
    return f"{unit} {listed([str(one.number) for one in records])}"


def listed(items: Sequence[str], last: str = "and") -> str:
    """The items in a row, at most five of them."""
    shown = list(items[:_SHOWN])
    if len(items) > _SHOWN:
        shown.append(f"{len(items) - _SHOWN} more")
    return f" {last} ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def columns(table: Table) -> str:
    """The columns of a table, at most twenty of them."""
    shown = [name[: quotes.LONGEST] or "(no name)" for name in table.columns[:_COLUMNS]]
    if len(table.columns) > _COLUMNS:
        shown.append(f"and {len(table.columns) - _COLUMNS} more")
    return ", ".join(shown) or "none"


def has(records: Sequence[Record]) -> str:
    """The verb that the places of these records need."""
    return "has" if len(records) == 1 else "have"


def are(records: Sequence[Record]) -> str:
    """The verb that the places of these records need."""
    return "is" if len(records) == 1 else "are"
