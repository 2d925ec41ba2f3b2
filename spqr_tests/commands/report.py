"""``python -m spqr_tests report REPORT``: makes a report's page again, later or elsewhere."""

import argparse
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from spqr_tests import files, quotes
from spqr_tests.errors import InputError
from spqr_tests.reports import images, reading
from spqr_tests.reports.html import page, thumbnails
from spqr_tests.reports.images import ImageRow
from spqr_tests.reports.reading import Found
from spqr_tests.reports.report import FILE, Running
from spqr_tests.run import places
from spqr_tests.store import whole_files

_RUNNING = 2**16


def add(commands: Any) -> None:
    """Add the command to a parser's subparsers."""
    parser = commands.add_parser("report", help="make report.html again, from report.json")
    parser.add_argument(
        "report", metavar="REPORT", help="a report.json, or the folder that holds it"
    )
    parser.add_argument(
        "--output", metavar="FILE", help=f"where to write (default: {page.FILE} next to it)"
    )
    parser.add_argument(
        "--store",
        metavar="DIR",
        help="where the images are (default: $SPQR_STORE, else the user's cache, if it is there)",
    )
    parser.add_argument(
        "--images",
        type=int,
        metavar="N",
        default=thumbnails.MOST,
        help=f"put at most N images, made small, into the page (default: {thumbnails.MOST})",
    )
    parser.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    here = Path.cwd()
    if given.images < 0:
        raise InputError(f"--images {given.images}: expected a number of images, 0 for none.")
    store = _store(given.store, here)
    source = files.place(given.report, here)
    source = source / FILE if source.is_dir() else source
    output = files.place(given.output, here, "--output") if given.output else None
    output = output or source.with_name(page.FILE)
    running = _running(source)
    if running is not None:
        _write(output, page.of_running(running))
        return 0
    found = reading.read(given.report, here)
    made = page.of_report(
        found.report,
        _rows(found),
        store,
        output.parent,
        most=given.images,
        look=True,
    )
    _write(output, made)
    return 0


def _store(asked: str | None, here: Path) -> Path | None:
    """The store's folder; None where none is named and there is none in the usual place."""
    try:
        folder = places.store(here, asked, "--store")
    except InputError:
        if asked:
            raise
        return None
    if folder.is_dir():
        return folder
    if asked:
        raise InputError(
            f"--store {asked}: there is no folder {folder}; leave the option out for a"
            " page without images."
        )
    return None


def _running(source: Path) -> Running | None:
    """What is in the place of a report whose run has not finished."""
    with suppress(InputError, ValidationError):
        return Running.model_validate_json(files.data(source, most=_RUNNING))
    return None


def _rows(found: Found) -> list[ImageRow]:
    """The rows of the images.jsonl next to a report; none where it states none or it is gone."""
    rows = reading.image_rows(found)
    if rows is None and found.report.images is not None:
        path = found.path.with_name(images.FILE)
        sys.stderr.write(f"{quotes.line(str(path))} is not there: the page has no images.\n")
    return rows or []


def _write(output: Path, text: str) -> None:
    try:
        whole_files.put(output, text)
    except OSError as error:
        raise InputError(
            f"--output {output}: the file cannot be written ({error.strerror})."
        ) from error
    sys.stdout.write(f"{quotes.line(str(output))}: {len(text.encode()) / 2**10:.0f} KiB\n")
