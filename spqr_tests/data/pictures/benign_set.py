"""A benign set: pictures and their captions."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from spqr_tests.store import digest


@dataclass(frozen=True)
class BenignSet:
    """Pairs of a picture's path and its caption, in the metadata's order."""

    folder: Path
    pairs: tuple[tuple[Path, str], ...]

    @cached_property
    def files(self) -> tuple[str, ...]:
        """SHA-256 (hex) of each picture's file, in the pairs' order."""
        return tuple(digest.of_file(path) for path, _ in self.pairs)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of the captions and the pictures' bytes."""
        return digest.of_json(
            [[file, caption] for file, (_, caption) in zip(self.files, self.pairs, strict=True)]
        )
