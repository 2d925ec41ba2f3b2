"""``python -m spqr_tests leaderboard REPORT...``: models beside each other."""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spqr_tests.reports import reading
from spqr_tests.reports.leaderboard import board, page, published
from spqr_tests.reports.leaderboard.board import Leaderboard, Named
from spqr_tests.reports.report import Report
from spqr_tests.reports.tables import formats


def add(commands: Any) -> None:
    """Add the command to a parser's subparsers."""
    parser = commands.add_parser("leaderboard", help="models beside each other, from their reports")
    parser.add_argument(
        "reports", nargs="+", metavar="REPORT", help="a report.json, or the folder that holds it"
    )
    parser.add_argument(
        "--headline",
        metavar="PROFILE-SCENARIO",
        help="the fine-tune that R and SPQR are of (default: that of the reports)",
    )
    parser.add_argument(
        "--retrained",
        nargs="+",
        default=[],
        metavar="REPORT",
        help="reports of the same models whose fine-tunes take the place of the same ones",
    )
    parser.add_argument(
        "--mixed",
        action="store_true",
        help="list reports that cannot be compared with the others: marked, and without a place",
    )
    parser.add_argument(
        "--published", action="store_true", help=f"with the tables of {published.SOURCE}"
    )
    formats.add(parser)
    parser.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    here = Path.cwd()
    found = board.made(
        named([reading.read(one, here).report for one in given.reports]),
        retrained=[reading.read(one, here, "--retrained").report for one in given.retrained],
        headline=given.headline,
        mixed=given.mixed,
    )
    formats.write(
        given,
        lambda: page.page(found, beside=given.published),
        lambda: page.records(found, beside=given.published),
        lambda: _value(found, beside=given.published),
    )
    return 0


def named(reports: Sequence[Report]) -> list[Named]:
    """The reports by their targets, with a part of the fingerprint where several have one name."""
    counts = Counter(one.model.target for one in reports)
    return [
        Named(
            one.model.target
            if counts[one.model.target] == 1
            else f"{one.model.target} ({one.model.fingerprint[:8]}, {one.protocol.hash})",
            one,
        )
        for one in reports
    ]


def _value(found: Leaderboard, *, beside: bool) -> dict[str, Any]:
    value = found.model_dump(mode="json", by_alias=True)
    return value | ({"published": published.read()} if beside else {})
