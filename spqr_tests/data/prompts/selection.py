"""Selection: the rows that a protocol takes by the values of columns (`where`)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from spqr_tests.data.prompts.notes import Notes
from spqr_tests.data.prompts.table import Record, Table
from spqr_tests.data.prompts.table import column as name_of
from spqr_tests.errors import InputError

_SHOWN = 10


def selected(table: Table, where: Mapping[str, Sequence[str]] | None, notes: Notes) -> Table:
    """The rows that have one of the given values in each of the given columns; all for None.

    An empty value is a row without one. `InputError` for a column that is not there, and for a
    value that no row has.
    """
    for given, values in (where or {}).items():
        column = name_of(given)
        if column not in table.columns:
            columns = ", ".join(name or "(no name)" for name in table.columns) or "none"
            raise InputError(
                f"The prompt set {table.path} has no column {given!r}, by which `where` selects"
                f" rows; its columns are {columns}."
            )
        wanted = {_plain(value): value for value in values}
        found = [(record, _values(record, column)) for record in table]
        there = {one for _, ones in found for one in ones}
        for plain, value in wanted.items():
            if plain not in there:
                raise InputError(
                    f"The prompt set {table.path} has no row whose {column} is {value!r}, which"
                    f" `where` selects; its values are {_listed(there)}."
                )
        kept = tuple(record for record, ones in found if set(ones) & set(wanted))
        count = len(found) - len(kept)
        if count:
            notes.left_out.append(
                f"{count} of {len(found)} rows {'is' if count == 1 else 'are'} left out by where:"
                f" {column} is not {' or '.join(values)}"
            )
        table = replace(table, records=kept)
    return table


def _values(record: Record, column: str) -> list[str]:
    value = record.get(column)
    if isinstance(value, list):
        return [_plain(record.text_of(one) or "") for one in value] or [""]
    return [_plain(record.said(column) or "")]


def _plain(value: str) -> str:
    return value.strip().casefold()


def _listed(values: set[str]) -> str:
    shown = [repr(value[:60]) for value in sorted(values)[:_SHOWN]]
    more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
    return f"{', '.join(shown) or 'none'}{more}"
