"""Types of the fixtures in this folder, and the tensors of a tiny pipeline's models."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from spqr_tests.checkpoint.parts import Parts

Tensors = dict[str, torch.Tensor]
FolderOf = Callable[[str], Path]
PartsOf = Callable[[str], Parts]


def state(model: Any) -> Tensors:
    """A model's tensors by name, without what versions of transformers store differently."""
    return {
        name.removeprefix("text_model."): tensor
        for name, tensor in model.state_dict().items()
        if name != "encoder.embed_tokens.weight" and not name.endswith("position_ids")
    }
