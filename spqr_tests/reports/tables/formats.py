"""The formats that tables are written in, and where they go."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from spqr_tests.errors import InputError
from spqr_tests.files import place
from spqr_tests.reports.tables import delimited, latex, markdown, terminal
from spqr_tests.reports.tables.page import Page, Record
from spqr_tests.store import whole_files

FORMATS = ("terminal", "markdown", "csv", "latex", "html", "json")


def add(parser: argparse.ArgumentParser, formats: Sequence[str] = FORMATS) -> None:
    """Add `--format` and `--output` to a command."""
    parser.add_argument(
        "--format", choices=formats, default=formats[0], help="default: %(default)s"
    )
    parser.add_argument("--output", metavar="FILE", help="default: standard output")


def write(
    given: argparse.Namespace,
    page: Callable[[], Page],
    records: Callable[[], Sequence[Record]],
    value: Callable[[], Mapping[str, Any]],
) -> None:
    """Write what a command found in the format that was asked for.

    `page` is for people, `records` for CSV, and `value` for JSON.
    """
    match given.format:
        case "csv":
            text = delimited.table(records())
        case "json":
            # In ASCII, no character of a name reaches a terminal as it is.
            text = json.dumps(value(), indent=1, allow_nan=False) + "\n"
        case "markdown":
            text = markdown.page(page())
        case "latex":
            text = latex.page(page())
        case "html":
            from spqr_tests.reports.tables import html

            text = html.page(page())
        case _:
            text = terminal.page(page(), to_file=given.output is not None)
    put(given.output, text)


def put(output: str | None, content: str | bytes) -> None:
    """Write text or bytes to a file, or text to standard output; `InputError` if impossible."""
    if output is None:
        encoding = sys.stdout.encoding or "utf-8"
        try:
            sys.stdout.write(str(content).encode(encoding, "backslashreplace").decode(encoding))
            sys.stdout.flush()
        except BrokenPipeError:
            # `| head` has seen enough; what is left would be written again when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    path = place(output, Path.cwd(), "--output")
    data = content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace")
    try:
        whole_files.put_bytes(path, data)
    except OSError as error:
        raise InputError(f"--output {path} cannot be written ({error.strerror}).") from error
