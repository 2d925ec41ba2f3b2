"""Numbers: what a page of docs/ is made from, as JSON next to the page."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

DOCS = Path(__file__).resolve().parents[1] / "docs"
STRICT = ConfigDict(extra="forbid")
"""Of the rows in `Numbers`: an unknown key is an error."""


class Numbers(BaseModel):
    """The measured numbers of one page; a subclass adds `schema_` and its rows."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    def write(self, path: Path) -> None:
        """Write the numbers as JSON with one line per row; defaults are left out."""
        values = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        entries = ",\n".join(f" {_json(key)}: {_lines(value)}" for key, value in values.items())
        path.write_text(f"{{\n{entries}\n}}\n", encoding="utf-8")


Found = TypeVar("Found", bound=Numbers)


def read(kind: type[Found], path: Path) -> Found:
    """The numbers in a file; pydantic's `ValidationError` when they are not of this kind."""
    return kind.model_validate_json(path.read_bytes())


def publish(found: Found, out: Path, name: str, page: Callable[[Found], str]) -> Found:
    """Write the numbers and their page into the folder `out`, as `name`.json and `name`.md.

    The page is made from the file, and what is given back is read from it: what was rounded or lost
    on the way shows.
    """
    out.mkdir(parents=True, exist_ok=True)
    found.write(out / f"{name}.json")
    kept = read(type(found), out / f"{name}.json")
    (out / f"{name}.md").write_text(page(kept), encoding="utf-8")
    return kept


def _lines(value: object) -> str:
    if not isinstance(value, list):
        return _json(value)
    rows = ",\n".join(f"  {_json(row)}" for row in value)
    return f"[\n{rows}\n ]"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
