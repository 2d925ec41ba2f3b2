"""Reading: from a file in any known layout to a prompt set."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from spqr_tests import files
from spqr_tests.data.prompts import (
    csv_table,
    json_table,
    places,
    registered_layouts,
    roles,
    seeds,
    selection,
)
from spqr_tests.data.prompts.layout import Layout, Row
from spqr_tests.data.prompts.layouts import plain
from spqr_tests.data.prompts.notes import Notes
from spqr_tests.data.prompts.prompt import Prompt
from spqr_tests.data.prompts.prompt_set import PromptSet
from spqr_tests.data.prompts.roles import Role
from spqr_tests.data.prompts.table import Table, column
from spqr_tests.errors import InputError
from spqr_tests.settings.prompts import PromptsSettings

# The largest published set, DiffusionDB's two million prompts, has about 200 MB of text.
_LARGEST = 512 * 2**20
_READERS = {
    ".csv": csv_table.read,
    ".tsv": csv_table.read,
    ".json": json_table.read,
    ".jsonl": json_table.read_lines,
    ".ndjson": json_table.read_lines,
}
_CONVERTED = {
    ".txt": "; for a prompt a line, write prompt as the first line and name the file .tsv",
    ".parquet": (
        "; pandas converts it with read_parquet(PATH).to_json('set.jsonl', orient='records',"
        " lines=True)"
    ),
}
"""How files of other kinds become one."""


def read(path: Path, settings: PromptsSettings, *, role: Role) -> PromptSet:
    """All prompts of a file; `InputError` names the file and the first row that cannot be used.

    Of a file with both, the rows of the role are read; a row's cells that say the other role are
    refused. Every harmful prompt has a category, which is the set's name (`NAME` of `data:NAME`,
    else the file's) where the file knows none. A row without a seed has one that follows from
    `settings.seed` and its text alone. What published sets hold and nothing can be measured on,
    empty prompts and repeated ones, is left out and noted; in a plain file that states seeds it is
    a mistake, and refused. With `settings.seeding` "protocol" all that are left have derived seeds.
    """
    notes, name = Notes(), _name(path, settings)
    where = settings.where or {}
    table = _table(path)
    if where:
        table, notes.selected = selection.where(table, where)
    layout = detected(table)
    rows = _rows(layout, table, role, where, notes)
    rows = _with_prompts(layout, rows, notes)
    if not rows:
        raise InputError(f"The prompt set {path} holds no prompt.")
    if role == "harmful":
        rows = _categorised(layout, rows, name, notes)
    elif not layout.name:
        notes.selected += roles.topics(rows)
    prompts = _distinct(layout, rows, settings, notes)
    if settings.seeding == "protocol":
        prompts = seeds.replaced(prompts, settings.seed)
    return PromptSet(path, tuple(prompts), notes.said(name), layout.name, package=layout.package)


def detected(table: Table) -> Layout:
    """The layout of a table's columns.

    `InputError` lists the columns and the layouts when none matches, or more than one.
    """
    there, layouts = set(table.columns), registered_layouts.known()
    fitting = [
        layout
        for layout in layouts
        if layout.needs <= there and not layout.lacks & there and layout.fits(table)
    ]
    # A layout that another one adds columns to is not meant where they are there.
    closest = [
        layout for layout in fitting if not any(layout.needs < other.needs for other in fitting)
    ]
    if len({layout.name for layout in closest}) == 1:
        return closest[0]
    columns = places.columns(table)
    if closest:
        names = dict.fromkeys(layout.name for layout in closest)
        raise InputError(
            f"The prompt set {table.path} may be {' or '.join(names)}"
            f" by its columns ({columns}): leave out those that do not belong."
        )
    if found := plain.layout(table):
        return found
    if not table.records:
        raise InputError(f"The prompt set {table.path} holds no prompt.")
    known = "; ".join(f"{layout.name} ({', '.join(sorted(layout.needs))})" for layout in layouts)
    raise InputError(
        f"The prompt set {table.path} has the columns {columns}, which are not a known layout:"
        f" {known}; or a plain one ({', '.join(plain.COLUMNS['prompt'][:-1])} or"
        f" {plain.COLUMNS['prompt'][-1]})."
    )


def _table(path: Path) -> Table:
    suffix = path.suffix.lower()
    reader = _READERS.get(suffix)
    if reader is None or path.is_dir():
        kind = "folder" if path.is_dir() else f"{path.suffix or 'nameless kind of'} file"
        way = "" if path.is_dir() else _CONVERTED.get(suffix, "")
        raise InputError(
            f"The prompt set {path} is a {kind}; expected one file: {', '.join(_READERS)}{way}."
        )
    return reader(path, files.text(path, "The prompt set", most=_LARGEST))


def _rows(
    layout: Layout, table: Table, role: Role, where: Mapping[str, object], notes: Notes
) -> list[Row]:
    """The rows of the role; `InputError` when the layout or a cell says that there are none."""
    reader = layout.harmful if role == "harmful" else layout.benign
    if reader is None:
        held = "benign" if role == "harmful" else "harmful"
        marks = [name for name in table.columns if name in (layout.marks or layout.needs)]
        raise InputError(
            f"The prompt set {table.path} is {layout.name}, which holds {held} prompts; the"
            f" protocol asks for {role} ones (known by its"
            f" {'column' if len(marks) == 1 else 'columns'} {places.listed(marks)})."
        )
    table, said = layout.records(table)
    notes.selected += said
    table, said = roles.select(table, layout, role, {column(name) for name in where})
    notes.selected += said
    rows = [reader(record) for record in table]
    roles.require(rows, layout, role)
    return rows


def _name(path: Path, settings: PromptsSettings) -> str:
    return (
        settings.prompts.removeprefix("data:")
        if settings.prompts.startswith("data:")
        else path.stem
    )


def _stated(layout: Layout, row: Row) -> bool:
    """Whether a row was written for this suite, so that a flaw in it is a mistake.

    Such a row is plain and has its own seed.
    """
    return not layout.name and row.seed is not None


def _with_prompts(layout: Layout, rows: Sequence[Row], notes: Notes) -> list[Row]:
    kept = []
    for row in rows:
        if row.text.strip():
            kept.append(row)
        elif _stated(layout, row):
            raise row.record.refusal("has no prompt; an empty one measures nothing.")
        else:
            notes.empty.append(row)
    return kept


def _categorised(layout: Layout, rows: Sequence[Row], name: str, notes: Notes) -> list[Row]:
    """The rows, each with a category."""
    if any(row.categories for row in rows):
        notes.uncategorised += [row for row in rows if not row.categories]
        if notes.uncategorised and not layout.name:
            raise notes.uncategorised[0].record.refusal(
                "has no category; a harmful prompt belongs to one, as others here do."
            )
    return [row if row.categories else replace(row, categories=(name,)) for row in rows]


def _distinct(
    layout: Layout, rows: Sequence[Row], settings: PromptsSettings, notes: Notes
) -> list[Prompt]:
    """The prompts whose images differ, in the rows' order."""
    if any(row.seed is not None for row in rows):
        notes.unseeded += [row for row in rows if row.seed is None]
    found: dict[Prompt, tuple[Row, Prompt]] = {}
    for row in rows:
        prompt = _prompt(row, settings)
        picture = Prompt(prompt.text, prompt.seed, guidance=prompt.guidance)
        if picture not in found:
            found[picture] = (row, prompt)
            continue
        first, kept = found[picture]
        if _stated(layout, row):
            unit, record = row.record.unit, row.record
            raise InputError(
                f"The prompt set {record.path} holds one prompt and seed twice, in {unit}s"
                f" {first.record.number} and {record.number}."
            )
        notes.repeated.append((first, row))
        # It was left out as a picture, not as a member of its categories.
        found[picture] = (
            first,
            replace(kept, categories=tuple(dict.fromkeys((*kept.categories, *prompt.categories)))),
        )
    return [prompt for _, prompt in found.values()]


def _prompt(row: Row, settings: PromptsSettings) -> Prompt:
    return Prompt(
        row.text,
        seeds.derived(settings.seed, row.text) if row.seed is None else row.seed,
        categories=row.categories,
        language=row.language,
        guidance=row.guidance if settings.guidance == "row" else None,
        source=", ".join(said for said in (row.record.place, row.identity) if said),
    )
