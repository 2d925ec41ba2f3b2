"""Places: rows of a file in a sentence, by what their file counts."""

from collections.abc import Sequence

from spqr_tests.data.prompts.table import Record, Table

_SHOWN = 5
_LONGEST = 60
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
    shown = [name[:_LONGEST] or "(no name)" for name in table.columns[:_COLUMNS]]
    if len(table.columns) > _COLUMNS:
        shown.append(f"and {len(table.columns) - _COLUMNS} more")
    return ", ".join(shown) or "none"


def has(records: Sequence[Record]) -> str:
    """The verb that the places of these records need."""
    return "has" if len(records) == 1 else "have"


def are(records: Sequence[Record]) -> str:
    """The verb that the places of these records need."""
    return "is" if len(records) == 1 else "are"


def shown(value: object) -> str:
    """A cell's value in a sentence: a text in quotes, else as Python writes it, not too long."""
    if isinstance(value, str):
        return quoted(value)
    said = repr(value)
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}..."


def quoted(text: str) -> str:
    """A text of a file in quotes, its first 60 characters."""
    return repr(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}...")
