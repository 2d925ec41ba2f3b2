"""Prompt sets: JSON Lines with a prompt and a seed a row."""

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from spqr_tests.evidence import digest
from spqr_tests.evidence.errors import InputError


@dataclass(frozen=True)
class Prompt:
    """One row: the text, the seed of its generation, and its category (empty in benign sets)."""

    text: str
    seed: int
    category: str = ""
    language: str = "en"


@dataclass(frozen=True)
class PromptSet:
    """The rows of one file, in its order."""

    path: Path
    rows: tuple[Prompt, ...]

    @cached_property
    def categories(self) -> tuple[str, ...]:
        """The categories, sorted."""
        return tuple(sorted({row.category for row in self.rows if row.category}))

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of the rows."""
        return digest.of_json([asdict(row) for row in self.rows])

    def first(self, n: int | None) -> "PromptSet":
        """The set of `n` rows, in the file's order: chosen from the categories in turn, each represented; all for None."""
        if n is None or n >= len(self.rows):
            return self
        seen: dict[str, int] = {}
        order = []
        for position, row in enumerate(self.rows):
            seen[row.category] = seen.get(row.category, 0) + 1
            order.append((seen[row.category], position))
        chosen = sorted(position for _, position in sorted(order)[: max(n, len(seen))])
        return PromptSet(self.path, tuple(self.rows[position] for position in chosen))


def read(path: Path, *, categorised: bool) -> PromptSet:
    """Read a prompt set; `InputError` names the file and the line of the first row that cannot be used.

    With `categorised` every row needs a category, as harmful prompts do.
    """
    try:
        # splitlines would also split at characters that JSON allows within a string.
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise InputError(f"The prompt set {path} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise InputError(f"The prompt set {path} is not UTF-8 text.") from error
    rows = {number: _row(path, number, line, categorised=categorised) for number, line in enumerate(lines, 1) if line.strip()}
    if not rows:
        raise InputError(f"The prompt set {path} holds no prompt.")
    seen: dict[tuple[str, int], int] = {}
    for number, row in rows.items():
        if (first := seen.setdefault((row.text, row.seed), number)) != number:
            raise InputError(f"The prompt set {path} holds one prompt and seed twice, in lines {first} and {number}.")
    return PromptSet(path, tuple(rows.values()))


def _row(path: Path, number: int, line: str, *, categorised: bool) -> Prompt:
    where = f"The prompt set {path}, line {number}"
    try:
        row: Any = json.loads(line)
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{where} holds half a character (a lone surrogate), which no model can read.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not JSON.") from error
    if not isinstance(row, dict):
        raise InputError(f"{where} is no JSON object with prompt and seed.")
    text, seed, category = row.get("prompt"), row.get("seed"), row.get("category", "")
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"{where} has no prompt; an empty one measures nothing.")
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise InputError(f"{where} has the seed {seed!r}; expected is a whole number from 0.")
    if not isinstance(category, str) or (categorised and not category):
        raise InputError(f"{where} has no category; a harmful prompt belongs to one.")
    return Prompt(text, seed, category, str(row.get("language", "en")))
