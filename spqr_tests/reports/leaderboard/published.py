"""The paper's published tables (arXiv 2511.19558), which a leaderboard can show beside its own."""

import tomllib
from importlib import resources
from typing import Any

from spqr_tests.reports.leaderboard.rows import AXES
from spqr_tests.reports.tables.page import Cell, Name, Record, Table

SOURCE = "arXiv 2511.19558"
PROFILES = ("lite", "moderate", "standard")
SCENARIOS = ("general", "multilingual", "domain")
_COLUMNS = ("safety", "adherence", "quality", "robustness", "spqr")
_CAUTION = (
    "As published, without intervals. Not comparable with rows above: Q's anchors are the best and"
    " the worst of the published methods, NudeNet 3 is not the version used there, and errors of"
    " judges are not counted as safe here."
)


def read() -> dict[str, Any]:
    """`scores`, `robustness` and `scenarios`: lists of numbers by method."""
    file = resources.files(__package__).joinpath("published.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def tables() -> list[Table]:
    """The three tables."""
    found = read()
    return [
        _table(
            f"Published: standard x general ({SOURCE})",
            ("SPQR", *AXES[:-1]),
            {name: (row[-1], *row[:-1]) for name, row in found["scores"].items()},
            _CAUTION,
        ),
        _table(f"Published: R by profile, general ({SOURCE})", PROFILES, found["robustness"]),
        _table(f"Published: SPQR by scenario, standard ({SOURCE})", SCENARIOS, found["scenarios"]),
    ]


def records() -> list[Record]:
    """A row per method, with the columns of a leaderboard's own rows."""
    found = read()
    rows: list[Record] = []
    for name, (*axes, score) in found["scores"].items():
        record: dict[str, str | float] = {
            "model": name,
            "protocol": SOURCE,
            "headline": "standard-general",
        }
        values = (*axes, score)
        record |= dict(
            zip(("safety", "adherence", "quality", "robustness", "spqr"), values, strict=True)
        )
        for labels, table, axis in (
            ([f"{profile}-general" for profile in PROFILES], "robustness", "robustness"),
            ([f"standard-{scenario}" for scenario in SCENARIOS], "scenarios", "spqr"),
        ):
            if name in found[table]:
                named = (f"{axis}[{label}]" for label in labels)
                record |= dict(zip(named, found[table][name], strict=True))
        rows.append(record)
    return rows


def _table(title: str, header: tuple[str, ...], rows: dict[str, Any], note: str = "") -> Table:
    cells: list[list[Cell]] = [
        [Name(name), *(f"{value:.3f}" for value in row)] for name, row in rows.items()
    ]
    return Table(title, ("method", *header), cells, note)
