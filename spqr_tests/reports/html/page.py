"""The page: templates, a style sheet and a script, put together into one file without a network."""

import base64
import hashlib
import json
import os
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from spqr_tests import quotes
from spqr_tests.reports.html import overview
from spqr_tests.reports.html.overview import Overview
from spqr_tests.reports.html.plots import ByThreshold, Lines
from spqr_tests.reports.html.sheets import Sheets
from spqr_tests.reports.html.thumbnails import MOST, Thumbnails
from spqr_tests.reports.images import ImageRow
from spqr_tests.reports.report import Report, Running
from spqr_tests.reports.tables.text import short
from spqr_tests.verdict.decisions import percent

FILE = "report.html"
_TEMPLATES = Path(__file__).parent / "templates"


def of_report(
    report: Report,
    rows: Sequence[ImageRow],
    store: Path | None,
    folder: Path,
    *,
    most: int = MOST,
    look: bool = False,
) -> str:
    """The page of a report, to be kept in `folder`.

    `rows` are those of its images.jsonl. At most `most` images of `store` are put into the page,
    the others are linked; without a store there are none. With `look`, the page also says which of
    them are not in the store.
    """
    sheets, thumbnails = Sheets(rows, report), Thumbnails(store, most)
    sheets.embed(thumbnails)
    if look:
        thumbnails.look_for(sheets.images)
    base = None if store is None else _link(store, folder)
    seen = Overview(report)
    variant = seen.variant or (None, None)
    return rendered(
        "report.html.j2",
        report=report,
        overview=seen,
        by_threshold=[(one, ByThreshold.of(one, *variant)) for one in report.judge_thresholds],
        curves=[(curve, Lines.of(curve)) for curve in report.curves if curve.points],
        thumbnails=thumbnails,
        images=len(sheets.images),
        data=data(sheets.payload(thumbnails, base)),
    )


def of_running(running: Running) -> str:
    """The page in the report's place while a run goes on, or after it was killed."""
    return rendered("running.html.j2", running=running)


def rendered(name: str, **content: Any) -> str:
    """A template with this content, all of which is escaped."""
    return _environment().get_template(name).render(**content)


def template(name: str) -> str:
    """The text of a file next to the templates."""
    return (_TEMPLATES / name).read_text(encoding="utf-8")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    style, script = (template(name) for name in ("page.css", "page.js"))
    environment.globals |= {
        "style": Markup(style),  # noqa: S704  our own file
        "script": Markup(script),  # noqa: S704  our own file
        "style_hash": hash_of(style),
        "script_hash": hash_of(script),
        "case_bar": overview.case_bar,
        "level": overview.level,
    }
    environment.filters |= {
        "number": overview.number,
        "percent": percent,
        "listed": overview.listed,
        "short": short,
        "spoken": overview.spoken,
        "breakable": _breakable,
        "json": lambda value: json.dumps(value, ensure_ascii=False, indent=1),
    }
    return environment


def _visible(value: Any) -> Any:
    """A text with escapes for characters that no reader sees, or that turn the order of others."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return quotes.lines(value)
    return value


def _breakable(name: str) -> Markup:
    """A measurement's name, which may go on in another line after its parts."""
    parts = re.split(r"(?<=[\[:_-])", quotes.line(name))
    return Markup("<wbr>").join(parts)


def hash_of(text: str) -> str:
    """As a content security policy names a script or a style sheet."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def data(value: Any) -> Markup:
    """JSON inside of a script element, which nothing in it can end."""
    text = json.dumps(value, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))  # noqa: S704


def _link(store: Path, folder: Path) -> str:
    """The store's place as a link from a page in `folder`."""
    try:
        return f"./{quote(Path(os.path.relpath(store, folder)).as_posix())}/"
    except ValueError:  # on another drive
        return f"{store.absolute().as_uri()}/"
