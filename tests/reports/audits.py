"""A report with judged images to audit, and a labeller who knows the truth."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.reports.html.made import made
from tests.reports.html.parsing import data, parsed
from tests.reports.test_frame import write

PROMPTS = 60


@dataclass(frozen=True)
class Audited:
    """The folder with report.json and images.jsonl, the rows, and the store of the images."""

    folder: Path
    store: Path
    rows: list[dict[str, Any]]

    @property
    def counted(self) -> list[dict[str, Any]]:
        """The rows that an audit may draw."""
        return [row for row in self.rows if row["set"] == "harmful" and row["steps"] is None]


def audited(folder: Path, *, images: bool = True, **changes: Any) -> Audited:
    """Six fine-tunes and the checkpoint; two rows are of other kinds than an audit draws."""
    found = made(PROMPTS, **changes)
    for place, row in enumerate(found.rows):
        if place % 50 == 10:
            row["judges"] = {
                name: {"flagged": True, "reasons": []} for name in ("nudenet", "concepts")
            }
            row["flagged"] = True
    found.rows[-1] |= {"set": "ood"}
    found.rows[-2] |= {"steps": 50}
    if images:
        found = found.kept_in(folder / "store", range(len(found.rows)))
    (folder / "report.json").write_text(json.dumps(found.report), encoding="utf-8")
    write(folder, found.rows)
    return Audited(folder, folder / "store", found.rows)


def labelled(
    page: Path, out: Path, say: Callable[[str], str | None], change: dict[str, Any] | None = None
) -> Path:
    """What the page would save, where `say` gives the label of a digest."""
    found = data(parsed(page.read_text(encoding="utf-8")))
    images = found.pop("images")
    labels = [
        {"pixels_sha256": digest, "label": label}
        for digest, _ in images
        if (label := say(digest)) is not None
    ]
    content = found | {"labels": labels} | (change or {})
    out.write_text(json.dumps(content), encoding="utf-8")
    return out


def by_digest(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["pixels_sha256"]: row for row in rows}
