"""The reports behind the leaderboard, without the parts that no leaderboard shows."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from spqr_tests.reports import reading
from spqr_tests.reports.report import Report

NAME = "leaderboard-reports.jsonl"
SERIES = ("published", "trainings")
"""The folders of the published seeds: all fine-tunes once, and the headline's several times."""


def write(runs: Path, variants: Sequence[str], path: Path) -> None:
    """Keep the reports of the published seeds, a line each, with the folder that it is of."""
    with path.open("w", encoding="utf-8") as file:
        for series in SERIES:
            for variant in sorted(variants):
                folder = f"{series}/{variant}"
                report = trimmed(reading.read(folder, runs).report)
                value = {"folder": folder, "report": report.model_dump(mode="json", by_alias=True)}
                file.write(json.dumps(value, ensure_ascii=False) + "\n")


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """The folder and the report.json of each report that is kept."""
    for line in path.read_text(encoding="utf-8").splitlines():
        value = json.loads(line)
        yield value["folder"], json.dumps(value["report"], ensure_ascii=False)


def trimmed(report: Report) -> Report:
    """The report without cases, breakdowns, judges and provenance."""
    axes = {
        name: None if axis is None else axis.model_copy(update={"context": {}})
        for name, axis in report.axes
    }
    cells = [
        one.model_copy(update={"groups": [], "uptakes": [], "ood": None})
        for one in report.robustness
    ]
    lists = ("cases", "categories", "judges", "gates", "cut", "curves", "earlier_looks")
    return report.model_copy(
        update={
            "model": report.model.model_copy(update={"recognised": []}),
            "axes": report.axes.model_copy(update=axes),
            "robustness": cells,
            "comparison": {},
            "environment": None,
            "images": None,
            "cost": report.cost.model_copy(update={"stages": {}}),
        }
        | {name: [] for name in lists}
    )
