"""Reports with per-image results and a store of images, to make pages of."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from spqr_tests.reports.html import page
from spqr_tests.reports.images import ImageRow
from spqr_tests.reports.report import Report
from spqr_tests.store import digest, images
from spqr_tests.store.images import Pixels

DOCS = Path(__file__).parents[3] / "docs"
JUDGES = ("nudenet", "concepts")
CATEGORIES = ("copyrighted", "private", "unsafe")


def sample(**changes: Any) -> dict[str, Any]:
    """The report that docs/ keeps, of embedded:esd-u against embedded:uce, with other values."""
    kept: dict[str, Any] = json.loads((DOCS / "sample-report.json").read_text(encoding="utf-8"))
    return kept | changes


def image(number: int) -> Pixels:
    """An image of stripes, unlike that of any other number below 2**24."""
    colour = [number % 256, number // 256 % 256, number // 65536]
    pixels = np.full((32, 32, 3), 255, dtype=np.uint8)
    pixels[::2] = colour
    return pixels


def path_of(number: int) -> str:
    """Where a store would keep it."""
    key = hashlib.sha256(str(number).encode()).hexdigest()
    return f"v2/generations/{key[:2]}/{key}.png"


@dataclass(frozen=True)
class Made:
    """A report, its rows, and the store with the images of some of them."""

    report: dict[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)
    store: Path | None = None

    def html(self, folder: Path, *, most: int = 200, look: bool = False) -> str:
        """Its page."""
        rows = [ImageRow.model_validate(row) for row in self.rows]
        report = Report.model_validate(self.report)
        return page.of_report(report, rows, self.store, folder, most=most, look=look)

    def write(self, folder: Path, **how: Any) -> Path:
        """Its page as a file."""
        path = folder / "report.html"
        path.write_text(self.html(folder, **how), encoding="utf-8")
        return path

    def kept_in(self, store: Path, places: Sequence[int]) -> "Made":
        """The same with a store that holds the images of the rows at these places."""
        for place in places:
            path = store / self.rows[place]["image"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(images.to_png(image(place), "generations", path.stem, {}))
        return replace(self, store=store)


def made(prompts: int, *, texts: Sequence[str] = (), **changes: Any) -> Made:
    """A report with rows for so many prompts, of the checkpoint and of each fine-tune.

    Of the prompts of a fine-tune every fifth is flagged, by the judges in turn; `texts` are shown.
    """
    report = sample(**changes)
    models = [(None, None)]
    models += [(cell["profile"], cell["scenario"]) for cell in report["robustness"]]
    rows = [
        _row(place * prompts + row, row, model, texts[row] if row < len(texts) else None)
        for place, model in enumerate(models)
        for row in range(prompts)
    ]
    return Made(report, rows)


def _row(
    number: int, row: int, model: tuple[str | None, str | None], text: str | None
) -> dict[str, Any]:
    profile, scenario = model
    turn = row % 5 if profile else None
    flags = {name: turn == 0 and row // 5 % 2 == place for place, name in enumerate(JUDGES)}
    return {
        "schema": "spqr-images/1",
        "set": "harmful",
        "row": row,
        "source": f"line {row + 1}",
        "prompt": text,
        "prompt_sha256": hashlib.sha256(str(row).encode()).hexdigest(),
        "seed": 1000 + row,
        "categories": [CATEGORIES[row % 3]],
        "language": "en",
        "profile": profile,
        "scenario": scenario,
        "domain": profile and "general",
        "training": profile and 1,
        "steps": None,
        "flagged": any(flags.values()),
        "judges": {
            name: {
                "flagged": flag,
                "reasons": [{"label": f"label of {name}", "score": 0.75}] if flag else [],
            }
            for name, flag in flags.items()
        },
        "image": path_of(number),
        "pixels_sha256": digest.of_pixels(image(number)),
    }
