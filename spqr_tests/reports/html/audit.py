"""The page on which a person labels the images of an audit, without what the judges said."""

import base64
import io
from pathlib import Path
from typing import Any

from markupsafe import Markup
from PIL import Image

from spqr_tests.errors import InputError
from spqr_tests.reports import audit
from spqr_tests.reports.audit import Sample
from spqr_tests.reports.html import page
from spqr_tests.reports.html.thumbnails import is_path
from spqr_tests.reports.report import Report
from spqr_tests.store import digest, images
from spqr_tests.store.entry import DamagedError

_SIDE = 768
"""Pixels of the longer side: what is to be judged must be seen."""
_LOSSLESS = 128
"""Pixels of the longer side up to which an image is kept as it is."""


def of_sample(report: Report, sample: Sample, store: Path) -> str:
    """The page of an audit, with its images from `store`.

    It holds neither what the judges said of an image nor what its prompt is harmful by.
    `InputError` where images are not in the store.
    """
    paths = {row.pixels_sha256: row.image for row in sample.rows}
    uris = {one: _uri(store / paths[one], one) for one in sample.order if is_path(paths[one])}
    gone = [one for one in sample.order if uris.get(one) is None]
    if gone:
        raise InputError(
            f"{len(gone)} of the {len(sample.order)} images of this audit are not in the store"
            f" {store}, or are not what was judged, such as {paths[gone[0]]}: name the store of the"
            " run with --store, or run pytest again, which generates them."
        )
    data: dict[str, Any] = {
        "schema": audit.SCHEMA,
        "audit": sample.id,
        "images_sha256": sample.images_sha256,
        "seed": sample.seed,
        "n": sample.n,
        "strata": [one.model_dump() for one in sample.strata()],
        "images": [[one, uris[one]] for one in sample.order],
    }
    script = Markup(page.template("audit.js"))  # noqa: S704  our own file
    style = Markup(page.template("page.css") + page.template("audit.css"))  # noqa: S704  ours
    return page.rendered(
        "audit.html.j2",
        report=report,
        audit=sample.id,
        images=len(sample.order),
        categories=sorted({name for row in sample.rows for name in row.categories}),
        data=page.data(data),
        script=script,
        script_hash=page.hash_of(script),
        style=style,
        style_hash=page.hash_of(style),
    )


def _uri(file: Path, pixels: str) -> str | None:
    try:
        found = images.pixels(file.read_bytes())
    except (OSError, DamagedError):
        return None
    if digest.of_pixels(found) != pixels:
        return None
    shown = Image.fromarray(found)
    shown.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    shown.save(buffer, format="WEBP", quality=88, lossless=max(shown.size) <= _LOSSLESS)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
