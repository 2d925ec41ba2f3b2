"""The leaderboard for people and for programs."""

from collections.abc import Mapping, Sequence

from spqr_tests.reports.comparable import at
from spqr_tests.reports.leaderboard import published
from spqr_tests.reports.leaderboard.board import Entry, Leaderboard
from spqr_tests.reports.leaderboard.rows import AXES, Row
from spqr_tests.reports.tables import svg
from spqr_tests.reports.tables.page import Cell, Name, Page, Plot, Record, Table
from spqr_tests.reports.tables.text import short
from spqr_tests.verdict.estimate import Estimate
from spqr_tests.verdict.names import Variant
from spqr_tests.verdict.places import spelt

_COLUMNS = dict(zip(AXES, ("safety", "adherence", "quality", "robustness", "spqr"), strict=True))
_S, _PQ = ("safety",), ("adherence", "quality")
_DRAWN = 12
"""Models in the radar plot; more cannot be told apart."""


def page(board: Leaderboard, *, beside: bool = False) -> Page:
    """The page of a leaderboard; `beside` adds the published tables."""
    variant = Variant.of(board.headline)
    profiles = {one.profile: one for one in board.cells if one.scenario == variant.scenario}
    scenarios = {one.scenario: one for one in board.cells if one.profile == variant.profile}
    parts: list[Table | Plot | None] = [
        _summary(board),
        _radar(board),
        _by_fine_tune(board, f"R by profile, {short(variant.scenario)}", profiles, "R"),
        _by_fine_tune(board, f"SPQR by scenario, {short(variant.profile)}", scenarios, "SPQR"),
        _by_fine_tune(board, "R of every fine-tune", {one.label: one for one in board.cells}, "R"),
        _harmful(board),
        _measured(board),
    ]
    kept = [part for part in parts if part is not None]
    return Page("SPQR leaderboard", _notes(board), [*kept, *(published.tables() if beside else [])])


def records(board: Leaderboard, *, beside: bool = False) -> list[Record]:
    """A row per model: numbers are not rounded, and bounds have columns of their own."""
    rows = [_record(entry, board) for entry in board.entries]
    return rows + (published.records() if beside else [])


def _record(entry: Entry, board: Leaderboard) -> Record:
    row, place = entry.row, entry.place
    record: dict[str, str | float | None] = {
        "place_first": None if place is None else place[0],
        "place_last": None if place is None else place[1],
        "model": row.model,
        "fingerprint": row.fingerprint,
        "protocol": entry.protocol,
        "protocol_hash": entry.hash,
        "decision": str(entry.decision),
        "headline": board.headline,
    }
    for axis, column in _COLUMNS.items():
        record |= _bounds(column, row.found(axis, board.headline))
        name = board.headline if axis in ("R", "SPQR") else column
        record[f"{column}_n"] = entry.n.get(name)
    cells = {cell.name: cell for cell in row.cells}
    for label in (variant.label for variant in board.cells):
        cell = cells.get(label)
        record |= _bounds(f"robustness[{label}]", None if cell is None else cell.robustness)
        record |= _bounds(f"spqr[{label}]", None if cell is None else cell.spqr)
        record[f"harmfulness[{label}]"] = None if cell is None else cell.before
        record[f"harmfulness_after[{label}]"] = None if cell is None else cell.after
    record["remarks"] = "; ".join(entry.remarks)
    return record


def _bounds(column: str, found: Estimate | None) -> dict[str, float | None]:
    return {
        column: None if found is None else found.value,
        f"{column}_low": None if found is None else found.low,
        f"{column}_high": None if found is None else found.high,
    }


def _notes(board: Leaderboard) -> list[str]:
    variant = Variant.of(board.headline)
    notes = [
        (
            f"R and SPQR are of the fine-tune {short(variant.title)}. Intervals are two-sided at"
            f" {at(board.confidences)}. Models that are not told apart by more than chance share"
            " their places."
        )
    ]
    if board.retrained:
        count = max(len(row.cell(board.headline).trainings) for row in _having(board))
        notes.append(
            f"The fine-tune is of {count} trainings by the protocol hash"
            f" {' and '.join(map(short, board.retrained))}."
        )
    if any(entry.place is None for entry in board.entries):
        notes.append("A model without a place cannot be compared with the others; see the remarks.")
    return notes


def _having(board: Leaderboard) -> list[Row]:
    return [row for row in board.rows if row.found("R", board.headline) is not None]


def _summary(board: Leaderboard) -> Table:
    header = ("place", "model", "SPQR", *AXES[:-1], "decision")
    rows = [
        (
            "" if entry.place is None else spelt(entry.place, "-"),
            Name(entry.row.model),
            entry.row.found("SPQR", board.headline),
            *(entry.row.found(axis, board.headline) for axis in AXES[:-1]),
            str(entry.decision),
        )
        for entry in board.entries
    ]
    return Table("SPQR, and what it is made of", header, rows)


def _by_fine_tune(board: Leaderboard, title: str, cells: Mapping[str, Variant], axis: str) -> Table:
    """R or SPQR of some fine-tunes, by the header of each."""
    rows: list[list[Cell]] = [
        [Name(row.model), *(row.found(axis, one.label) for one in cells.values())]
        for row in board.rows
    ]
    header: list[str | Name] = ["model", *map(Name, cells)]
    return Table(title, header, rows)


def _harmful(board: Leaderboard) -> Table | None:
    labels = [one.label for one in board.cells]
    rows: list[list[Cell]] = []
    for row in board.rows:
        after = {cell.name: f"{cell.after:.1f}" for cell in row.cells}
        before = f"{row.cells[0].before:.1f}" if row.cells else None
        rows.append([Name(row.model), before, *(after.get(label) for label in labels)])
    header: list[str | Name] = ["model", "before", *map(Name, labels)]
    return Table("Harmful images, in percent", header, rows, "Before, and after each fine-tune.")


def _measured(board: Leaderboard) -> Table:
    """By what each model was measured, and what a reader must know of it."""
    header = ("model", "protocol", "hash", "n of S", "n of P and Q", "n of R", "remarks")
    rows: list[list[Cell]] = [
        [
            Name(entry.row.model),
            Name(entry.protocol),
            entry.hash,
            *(_counts(entry.n, names) for names in (_S, _PQ, (board.headline,))),
            "; ".join(entry.remarks),
        ]
        for entry in board.entries
    ]
    return Table("By what they were measured", header, rows, "n counts images.")


def _counts(n: Mapping[str, int], names: Sequence[str]) -> str:
    return " and ".join(dict.fromkeys(str(n[name]) for name in names if name in n))


def _radar(board: Leaderboard) -> Plot | None:
    """The first models of the table, as far as they have all four axes."""
    shapes: dict[str, list[float]] = {}
    for row in board.rows[:_DRAWN]:
        found = [row.found(axis, board.headline) for axis in AXES[:-1]]
        values = [one.value for one in found if one is not None]
        if len(values) == len(found):
            shapes[row.model] = values
    title = (
        f"S, P, Q and R of the first {len(shapes)}" if len(board.rows) > _DRAWN else "S, P, Q and R"
    )
    return Plot(title, svg.radar(AXES[:-1], shapes)) if shapes else None
