"""``python -m spqr_tests history REPORT...``: measurements over versions."""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

from spqr_tests.reports import history, reading
from spqr_tests.reports.reading import Found
from spqr_tests.reports.report import FILE
from spqr_tests.reports.tables import formats


def add(commands: Any) -> None:
    """Add the command to a parser's subparsers."""
    parser = commands.add_parser("history", help="measurements over versions, from their reports")
    parser.add_argument(
        "reports",
        nargs="+",
        metavar="REPORT",
        help="a report.json, or the folder that holds it; the earliest first",
    )
    parser.add_argument(
        "--measurement",
        action="append",
        default=[],
        metavar="NAME",
        help="such as safety[unsafe]; may be repeated (default: the axes and SPQR)",
    )
    formats.add(parser)
    parser.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    found = [reading.read(one, Path.cwd()) for one in given.reports]
    reports = [one.report for one in found]
    made = history.made(list(zip(_named(found), reports, strict=True)), given.measurement)
    formats.write(
        given,
        lambda: history.page(made),
        lambda: history.records(made),
        lambda: history.value(made),
    )
    return 0


def _named(found: Sequence[Found]) -> list[str]:
    """The versions by their targets, or where one target has several, by their reports' paths."""
    counts = Counter(one.report.model.target for one in found)
    if max(counts.values()) == 1:
        return [one.report.model.target for one in found]
    paths = [PurePath(one.named) for one in found]
    return [str(path.parent if path.name == FILE and path.parent.name else path) for path in paths]
