"""``python -m spqr_tests frame REPORT...``: reports as tables for pandas and the like."""

import argparse
from pathlib import Path
from typing import Any

from spqr_tests.errors import InputError
from spqr_tests.reports import frame, images, reading
from spqr_tests.reports.tables import delimited, formats


def add(commands: Any) -> None:
    """Add the command to a parser's subparsers."""
    parser = commands.add_parser("frame", help="reports as tables for pandas")
    parser.add_argument(
        "reports", nargs="+", metavar="REPORT", help="a report.json, or the folder that holds it"
    )
    parser.add_argument(
        "--images",
        action="store_true",
        help=f"a row per judged image, of {images.FILE} next to each report",
    )
    formats.add(parser, ("csv", "jsonl", "parquet"))
    parser.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    found = [reading.read(one, Path.cwd()) for one in given.reports]
    rows = frame.of_images(found) if given.images else frame.of_measurements(found)
    columns = frame.ROWS if given.images else frame.MEASUREMENTS
    match given.format:
        case "parquet":
            if given.output is None:
                raise InputError("--format parquet is no text: pass --output FILE.")
            formats.put(given.output, frame.parquet(rows, columns))
        case "jsonl":
            formats.put(given.output, frame.json_lines(rows, columns))
        case _:
            formats.put(given.output, delimited.table(rows, list(columns)))
    return 0
