"""LoRA files: the updates that they make to a base."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from spqr_tests.checkpoint.formats.tensor import ModelTensor, TensorFile
from spqr_tests.checkpoint.lora.modules import Module, is_adapter
from spqr_tests.checkpoint.lora.modules import read as read_modules
from spqr_tests.checkpoint.lora.scales import Scales
from spqr_tests.checkpoint.lora.targets import Home, Homes
from spqr_tests.checkpoint.lora.update import Lora, Update
from spqr_tests.checkpoint.parts import Parts
from spqr_tests.errors import InputError


@dataclass(frozen=True)
class LoraFile:
    """An adapter file that was recognised."""

    lora: Lora
    names: str
    """Whose names it uses, for messages: "kohya's"."""


def read(
    file: TensorFile, parts: Parts, config: Mapping[str, Any] | None = None
) -> LoraFile | None:
    """The updates of an adapter file, None when it is none; `config` is peft's adapter_config.json where one lies beside it.

    `InputError` for an adapter that is no LoRA, for one whose modules are not all the base's or do
    not have its shapes, and for one that changes nothing.
    """
    if not is_adapter(file.tensors):
        return None
    modules, names = read_modules(file)
    homes = Homes(parts).of_all(file.path, modules)
    scales = Scales(file, parts, config)
    updates: dict[tuple[str, str], Update] = {}
    for module, home in zip(modules, homes, strict=True):
        for update in _updates(file, home, module, scales.of(home, module)):
            key = (update.component, update.tensor)
            if key in updates:
                raise InputError(
                    f"{file.path} changes the {update.component}'s {update.tensor} twice, the"
                    f" second time by {module.named}."
                )
            updates[key] = update
    lora = Lora(tuple(updates[key] for key in sorted(updates)))
    if not any(_changes(update) for update in lora.updates):
        raise InputError(
            f"{file.path} changes nothing: its updates are all zero, and the base alone would be"
            " measured."
        )
    return LoraFile(lora, names)


def _updates(file: TensorFile, home: Home, module: Module, scale: float) -> Iterator[Update]:
    for place in home.places:
        weight = home.component.tensors[place.name].shape
        ones = (1,) * (len(weight) - 2)
        down = ModelTensor(file, module.down, (module.rank, *weight[1:]))
        up = ModelTensor(file, module.up, (weight[0], module.rank, *ones), place.rows)
        yield Update(home.component.name, place.name, down, up, scale)


def _changes(update: Update) -> bool:
    return all(
        any(block.count(0) != len(block) for block in _bytes(piece))
        for piece in (update.up, update.down)
    )


def _bytes(piece: ModelTensor) -> Iterator[bytes]:
    bits = int(piece.stored.dtype.lstrip("BF").split("_")[0])
    yield from piece.file.blocks(piece.stored.name, 0, prod(piece.stored.shape) * bits // 8)
