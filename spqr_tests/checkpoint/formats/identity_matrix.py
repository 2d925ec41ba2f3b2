"""An identity matrix that replaces a tensor that a file leaves out."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spqr_tests.checkpoint.formats.tensor import ModelTensor, StoredTensor

if TYPE_CHECKING:
    import torch


class IdentityMatrix:
    """A `TensorFile` that holds only an identity matrix, in float16, for the file at `path`."""

    def __init__(self, path: Path, name: str, size: int) -> None:
        self._path = path
        self._stored = StoredTensor(name, "F16", (size, size))

    @property
    def path(self) -> Path:
        """The file that leaves the matrix out."""
        return self._path

    @property
    def tensors(self) -> Mapping[str, StoredTensor]:
        """The matrix."""
        return {self._stored.name: self._stored}

    def blocks(self, name: str, begin: int, end: int) -> Iterator[bytes]:
        """The matrix's bytes."""
        yield np.eye(*self.tensors[name].shape, dtype=np.float16).tobytes()[begin:end]

    def tensor(self, name: str) -> "torch.Tensor":
        """The matrix."""
        import torch

        return torch.eye(*self.tensors[name].shape, dtype=torch.float16)

    def model_tensor(self) -> ModelTensor:
        """The matrix as a tensor of the model."""
        return ModelTensor(self, self._stored, self._stored.shape)
