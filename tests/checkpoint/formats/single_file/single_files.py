"""Single files, written from tensors or from shapes alone, and how they are read."""

import json
import struct
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from spqr_tests.checkpoint.backbones import BACKBONES
from spqr_tests.checkpoint.formats import single_file
from spqr_tests.checkpoint.formats.safetensors_file import SafetensorsFile
from spqr_tests.checkpoint.parts import Parts
from spqr_tests.errors import InputError

Shapes = Mapping[str, Sequence[int]]
Published = Mapping[str, dict[str, Sequence[int]]]


def header(path: Path, shapes: Shapes) -> SafetensorsFile:
    """A sparse file with tensors of these shapes, all zero, which uses no disk space."""
    table, end = {}, 0
    for name, shape in shapes.items():
        begin, end = end, end + 2 * prod(shape)
        table[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(table).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    return SafetensorsFile(path)


def read(path: Path, tensors: Mapping[str, torch.Tensor], config: Path | str | None) -> Parts:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return single_file.read(
        str(path), SafetensorsFile(path), BACKBONES, None if config is None else str(config)
    )


def refusal(path: Path, shapes: Shapes, config: str | None = None) -> str:
    with pytest.raises(InputError) as refused:
        single_file.read("model.safetensors", header(path, shapes), BACKBONES, config)
    text = str(refused.value)
    assert text.startswith(("--model model.safetensors: ", "--spqr-config", "The config of"))
    assert text.endswith(".")
    return text
