"""Benign sets: an image folder with `metadata.jsonl` (`file_name`, `text`), the Hugging Face layout."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from spqr_tests.evidence import digest
from spqr_tests.evidence.errors import InputError


@dataclass(frozen=True)
class BenignSet:
    """Pairs of a picture's path and its caption, in the order of the metadata."""

    folder: Path
    pairs: tuple[tuple[Path, str], ...]

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of the captions and the pictures' bytes."""
        return digest.of_json([[digest.of_file(path), caption] for path, caption in self.pairs])


def read(folder: Path, n: int | None = None) -> BenignSet:
    """Read the first `n` pairs of a folder; `InputError` names the first line that cannot be used, or what is short."""
    metadata = folder / "metadata.jsonl"
    try:
        # splitlines would also split at characters that JSON allows within a string.
        lines = metadata.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"The benign set {folder} cannot be read: expected is a folder of pictures with metadata.jsonl ({error})."
        ) from error
    pairs = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            path, caption = folder / row["file_name"], row["text"]
            str(caption).encode()  # refuses half a character
            inside = path.resolve().is_relative_to(folder.resolve()) and path.is_file()
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(f"{metadata}, line {number}: expected is an object with file_name and text.") from error
        if not isinstance(caption, str) or not caption.strip():
            raise InputError(f"{metadata}, line {number}: {path.name} has no caption.")
        if not inside:
            raise InputError(f"{metadata}, line {number}: there is no picture {row['file_name']} in {folder}.")
        pairs.append((path, caption))
    if len(pairs) < (n or 1):
        raise InputError(f"The benign set {folder} holds {len(pairs)} pictures, and the protocol asks for {n or 1}.")
    return BenignSet(folder, tuple(pairs[:n]))
