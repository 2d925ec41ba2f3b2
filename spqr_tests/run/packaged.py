"""What ships with the suite: protocols, prompt sets, thresholds and the embedded world.

Whoever starts a run passes it in, so that nothing here imports `spqr_fixtures`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol


class World(Protocol):
    """The small world of real components that runs on any machine."""

    @property
    def checkpoints(self) -> Collection[str]:
        """The names of its checkpoints."""

    @property
    def base(self) -> Path:
        """The folder of the unaligned checkpoint."""

    def overlay(self, name: str) -> Path | None:
        """The file in which a checkpoint differs from the base; None for the base itself."""

    @property
    def judge(self) -> Path:
        """The folder of its open_clip model."""

    @property
    def pictures(self) -> Collection[str]:
        """The names of the picture sets that `draw` knows."""

    @property
    def revision(self) -> str:
        """A text that changes whenever a drawn picture would."""

    def draw(self, name: str, folder: Path, n: int, seed: int) -> None:
        """Draw the first `n` pictures of a set into `folder`, as an image folder."""


@dataclass(frozen=True)
class Packaged:
    """The folder with the packaged files, and the embedded world."""

    folder: Path
    world: World

    @cached_property
    def protocols(self) -> Mapping[str, Path]:
        """The protocol files by name."""
        files = sorted((self.folder / "protocols").glob("*.toml"))
        return {path.stem: path for path in files}

    @cached_property
    def recipes(self) -> Mapping[str, Path]:
        """The files of packaged fine-tuning recipes by name."""
        files = sorted((self.folder / "recipes").glob("*.toml"))
        return {path.stem: path for path in files}

    @property
    def prompts(self) -> Path:
        """The folder of prompt sets."""
        return self.folder / "prompts"

    @property
    def thresholds(self) -> Path:
        """The thresholds of the packaged protocols."""
        return self.folder / "thresholds.toml"
