"""Plain tables of the user's: a prompt a row, and what else is known of it."""

from spqr_tests import quotes
from spqr_tests.data.prompts import cells
from spqr_tests.data.prompts.layout import Layout, Row
from spqr_tests.data.prompts.table import Record, Table
from spqr_tests.errors import InputError

COLUMNS = {
    "prompt": ("prompt", "text", "caption"),
    "category": ("category", "categories", "tag"),
    "seed": ("seed", "sd_seed", "evaluation_seed"),
    "guidance": ("guidance", "guidance_scale", "sd_guidance_scale", "evaluation_guidance"),
    "language": ("language", "lang"),
}
"""What may be known of a row, and the columns that may say so, of which a file has one at most."""


def layout(table: Table) -> Layout | None:
    """The plain layout of a table; None when it has no column for the prompt.

    `InputError` when it has two columns for one thing.
    """
    named: dict[str, str] = {}
    for what, columns in COLUMNS.items():
        there = [column for column in columns if column in table.columns]
        if len(there) > 1:
            raise InputError(
                f"The prompt set {table.path} has the columns {' and '.join(there)}, either of"
                f" which may hold the {what}: leave or rename one."
            )
        if there:
            named[what] = there[0]
    if "prompt" not in named:
        return None

    def row(record: Record) -> Row:
        return Row(
            record,
            cells.text(record, named["prompt"]),
            seed=cells.seed(record, [named["seed"]]) if "seed" in named else None,
            categories=_categories(record, named.get("category")),
            language=_language(record, named.get("language")),
            guidance=cells.guidance(record, [named["guidance"]]) if "guidance" in named else None,
        )

    return Layout("", frozenset({named["prompt"]}), harmful=row, benign=row)


def _categories(record: Record, column: str | None) -> tuple[str, ...]:
    if column is None:
        return ()
    return (
        cells.categories(record, column)
        if column == "categories"
        else cells.category(record, column)
    )


def _language(record: Record, column: str | None) -> str:
    value = None if column is None else record.get(column)
    if value is None:
        return "en"
    if not isinstance(value, str) or not value.strip() or not value.strip().isprintable():
        raise record.refusal(
            f"has the {column} {quotes.shown(value)}; expected a language's code, such as 'en'."
        )
    return value.strip()
