"""Selection: the rows that a protocol takes by the cells of columns (`where`)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from spqr_tests import quotes
from spqr_tests.data.prompts import places
from spqr_tests.data.prompts.table import Record, Table
from spqr_tests.errors import InputError
from spqr_tests.settings.prompts import cell_value


def where(table: Table, wanted: Mapping[str, Sequence[str]]) -> tuple[Table, list[str]]:
    """The table with the records that have one of the values in each of the columns, and notes.

    Columns and values are as the settings have them; "" is an empty cell. `InputError` for a column
    that the file lacks and for a value that no record has.
    """
    notes: list[str] = []
    for name, values in wanted.items():
        if name not in table.columns:
            raise InputError(
                f"The prompt set {table.path} has no column {quotes.shown(name)}, by which the"
                f" protocol's where selects rows; its columns are {places.columns(table)}."
            )
        cells = [_values(record, name) for record in table]
        there = {value for found in cells for value in found}
        for value in values:
            if value not in there:
                known = [quotes.quoted(one) for one in sorted(there)]
                raise InputError(
                    f"The prompt set {table.path} has no row whose {name} is"
                    f" {quotes.quoted(value)}, which the protocol's where selects; its values"
                    f" are {places.listed(known) if known else 'none'}."
                )
        kept = tuple(
            record
            for record, found in zip(table, cells, strict=True)
            if not found.isdisjoint(values)
        )
        if gone := len(cells) - len(kept):
            verb = "is" if gone == 1 else "are"
            quoted = [quotes.quoted(value) for value in values]
            notes.append(
                f"{gone} of {len(cells)} rows {verb} left out by where: their {name} is not"
                f" {places.listed(quoted, 'or')}"
            )
        table = replace(table, records=kept)
    if not table.records and notes:
        raise InputError(
            f"The prompt set {table.path} has no row that matches all of the protocol's where:"
            f" {places.listed(list(wanted))}."
        )
    return table, notes


def _values(record: Record, name: str) -> set[str]:
    cell = record.get(name)
    return {cell_value(one) for one in cell} if isinstance(cell, list) else {cell_value(cell)}
