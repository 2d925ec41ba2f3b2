"""Reading report.json: a finished report of this suite, or a sentence that says why it is none."""

import codecs
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spqr_tests import files, quotes
from spqr_tests.errors import InputError
from spqr_tests.reports import images
from spqr_tests.reports.images import ImageRow
from spqr_tests.reports.report import FILE, SCHEMA, Report, Running
from spqr_tests.store import digest

EARLIER = ("spqr-report/1",)
"""Earlier schemas, whose reports are read where they hold what is asked of them."""
_LARGEST = 256 * 2**20
_LARGEST_IMAGES = 2**30
"""Bytes of an images.jsonl; a row has about 600."""


class _Head(BaseModel):
    """What every report has at its top, whatever the version that wrote it."""

    model_config = ConfigDict(extra="ignore")

    schema_: str = Field(alias="schema")
    state: Literal["finished"] = "finished"


@dataclass(frozen=True)
class Found:
    """A report and where it is.

    `named` is the path as the user gave it, with the file's name where that was a folder.
    """

    report: Report
    path: Path
    named: str


def read(given: str, where: Path, option: str = "") -> Found:
    """The report in a file, or in the report.json of a folder; a relative path is in `where`.

    `InputError` for a report of a run that has not finished, of a schema that this version does not
    read, and for anything else. Its sentence begins with `option`, if there is one.
    """
    said = f"{option} {given}" if option else "The report"
    path = files.place(given, where, option)
    named = Path(given)
    if path.is_dir():
        path, named = path / FILE, named / FILE
    content = files.data(
        path,
        f"{said}:" if option else said,
        f"Pass the {FILE} of an earlier run." if option else f"Pass a {FILE} or its folder.",
        most=_LARGEST,
    ).removeprefix(codecs.BOM_UTF8)
    subject = f"{said}: {path}" if option else str(path)
    with suppress(ValidationError):
        running = Running.model_validate_json(content)
        raise InputError(
            f"{subject} is of a run that began at {quotes.cut(running.began)} and has not finished;"
            " wait for it, or pass another version's report.json."
        )
    return Found(_parsed(content, subject), path, str(named))


def _parsed(content: bytes, subject: str) -> Report:
    schema = SCHEMA
    with suppress(ValidationError):
        schema = _Head.model_validate_json(content).schema_
    if schema not in (SCHEMA, *EARLIER):
        raise InputError(
            f"{subject} has the schema {quotes.quoted(schema)}; this version reads {SCHEMA} and"
            f" {', '.join(EARLIER)}. Read it with the version of spqr-tests that wrote it."
        )
    try:
        return Report.model_validate_json(content)
    except ValidationError as error:
        problem = error.errors()[0]
        at = quotes.cut(".".join(map(str, problem["loc"])) or "the file", 120)
        earlier = f"the schema {schema} of an earlier version" if schema in EARLIER else SCHEMA
        raise InputError(
            f"{subject} is not a report of this suite ({earlier}): {at}: {problem['msg']}."
        ) from error


def image_rows(found: Found) -> list[ImageRow] | None:
    """The rows of the images.jsonl next to a report; None where it states none, or it is gone.

    `InputError` for the file of another report, and for a row that this version does not read.
    """
    path = found.path.with_name(images.FILE)
    if found.report.images is None or not path.exists():
        return None
    content = files.data(path, most=_LARGEST_IMAGES)
    if digest.of_bytes(content) != found.report.images.sha256:
        raise InputError(
            f"{path} is not the file that {found.path} was written with (its digest is another):"
            " put that one back, or take this one away to do without."
        )
    try:
        return list(images.read(content))
    except ValueError as error:
        said = quotes.cut(" ".join(str(error).split()), 200)
        raise InputError(f"{path} has a row that this version does not read: {said}") from error
