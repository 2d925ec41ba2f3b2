"""Screenshots of report.html for docs/: the page of `embedded:esd-u`, whose world has glyphs alone.

    python -m benchmarks.screenshots

takes them in a Chromium at 1280 and 390 pixels, in light and dark. Where the store holds the
model's evidence, as after `python -m benchmarks.report_page --measure`, that takes seconds.
"""

import argparse
import io
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from benchmarks import browser, suite
from benchmarks.numbers import DOCS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FloatRect

SIZES = {1280: 1270, 390: 1240}
"""The width of the window and how much of the page is kept, in pixels."""
SHOTS = [(width, scheme) for width in SIZES for scheme in ("light", "dark")]
"""Each screenshot of the page's beginning: the width and the colours."""
_SHEET = 900


def name(width: int, scheme: str) -> str:
    """The file of the page's beginning."""
    return f"report-page-{width}-{scheme}.webp"


SHEET = "report-page-sheet.webp"


def take(started: "Browser", page: Path, folder: Path) -> None:
    """Write the screenshots of a page into a folder."""
    for width, scheme in SHOTS:
        window = started.new_page(
            viewport={"width": width, "height": SIZES[width]},
            color_scheme="dark" if scheme == "dark" else "light",
        )
        window.goto(page.as_uri())
        _keep(window.screenshot(), folder / name(width, scheme))
        if (width, scheme) == SHOTS[0]:
            section = window.locator("section:has(#images)")
            section.locator("img").first.wait_for()
            top = section.evaluate("one => one.getBoundingClientRect().top + scrollY")
            clip: FloatRect = {"x": 0, "y": top, "width": width, "height": _SHEET}
            _keep(window.screenshot(full_page=True, clip=clip), folder / SHEET)
        window.close()


def _keep(data: bytes, path: Path) -> None:
    with Image.open(io.BytesIO(data)) as image:
        image.convert("RGB").save(path, lossless=True, method=6)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--store", type=Path, default=Path("spqr-samples"), help="where evidence and runs are kept"
    )
    folder = parser.parse_args().store
    with browser.started() as started:
        suite.measure(
            "embedded:esd-u", "embedded", folder / "store", folder / "page", "--spqr-show-prompts"
        )
        take(started, (folder / "page" / "report.html").absolute(), DOCS)


if __name__ == "__main__":
    main()
