"""The tensors that published single files hold."""

from typing import TYPE_CHECKING

import pytest

from tests.checkpoint.formats import originals
from tests.checkpoint.formats.single_file.single_files import Published

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.fixture(scope="session")
def published() -> Published:
    """Names and shapes in a published file of each preset, with all text encoders."""
    found: dict[str, dict[str, Sequence[int]]] = {}
    for name, preset in originals.presets():
        tensors = originals.original(originals.weightless(preset.name), name)
        found[preset.name] = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    return found
