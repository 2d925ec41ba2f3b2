"""Published files, written from tiny models: one for each row of docs/checkpoints.md."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.checkpoint.tiny_pipelines import FolderOf
from tests.tiny import backbones


@dataclass(frozen=True)
class Writer:
    """Writes the files of one row, from tiny pipelines."""

    folder: Path
    folder_of: FolderOf

    def base(self, name: str = "sd1") -> Any:
        return backbones.make(name)

    def changed(self, name: str = "sd1", component: str = "unet", part: str = "") -> Any:
        """The base after a safety method changed some of a component's tensors."""
        import torch

        pipeline = self.base(name)
        with torch.no_grad():
            for tensor, parameter in getattr(pipeline, component).named_parameters():
                if part in tensor:
                    parameter.mul_(1.1).add_(0.02)
        return pipeline

    def safetensors(
        self,
        tensors: Mapping[str, Any],
        name: str = "model.safetensors",
        metadata: dict[str, str] | None = None,
    ) -> Path:
        from safetensors.torch import save_file

        whole = {key: tensor.contiguous() for key, tensor in tensors.items()}
        save_file(whole, self.folder / name, metadata)
        return self.folder / name

    def pickle(self, content: Any, name: str = "model.pt") -> Path:
        import torch

        torch.save(content, self.folder / name)
        return self.folder / name


@dataclass(frozen=True)
class Command:
    """What a user passes to the suite, and the pipeline that must result."""

    expected: Any
    model: Path | None = None
    base: str = "sd1"
    overlay: Path | None = None
    mode: str = ""
    """What follows the '@' after the overlay's path."""
    config: str | None = None
    pickle: bool = False
    said: str = ""
    """What must be in the sentence of what was recognised."""


Row = Callable[[Writer], Command]
Rows = dict[str, Row]


def row(rows: Rows, name: str) -> Callable[[Row], Row]:
    """Add a function to the rows, under the name that its row has in docs/checkpoints.md."""

    def keep(function: Row) -> Row:
        rows[name] = function
        return function

    return keep
