"""CSV for spreadsheets and data frames, in which no text is read as a formula."""

import csv
import io
import math
from collections.abc import Sequence

from spqr_tests.quotes import line
from spqr_tests.reports.tables.page import Record

# What spreadsheets take for the start of a formula, also in full width; OWASP, CSV Injection.
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


def table(records: Sequence[Record], columns: Sequence[str] = ()) -> str:
    """The records, a column for each key that one of them has; numbers are not rounded.

    `columns` names them where there may be no record.
    """
    columns = columns or list(dict.fromkeys(key for record in records for key in record))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(map(safe, columns))
    writer.writerows([_cell(record.get(key)) for key in columns] for record in records)
    return stream.getvalue()


def safe(text: str) -> str:
    """The text in one line; what a spreadsheet would compute has an apostrophe before it."""
    return f"'{line(text)}" if text.lstrip(" \u00a0").startswith(_FORMULA) else line(text)


def _cell(value: str | float | None) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return safe(value) if isinstance(value, str) else str(value)
