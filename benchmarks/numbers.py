"""Numbers: what a page of docs/ is made from, as JSON next to the page."""

import json
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


def _lines(value: object) -> str:
    if not isinstance(value, list):
        return _json(value)
    rows = ",\n".join(f"  {_json(row)}" for row in value)
    return f"[\n{rows}\n ]"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
