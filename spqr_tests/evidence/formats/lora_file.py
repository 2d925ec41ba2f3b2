"""LoRA files: the updates that they make to a base."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from spqr_tests.evidence.errors import InputError
from spqr_tests.evidence.formats import lora_modules
from spqr_tests.evidence.formats.lora import Lora, Update
from spqr_tests.evidence.formats.lora_homes import Home, Homes
from spqr_tests.evidence.formats.lora_modules import Module
from spqr_tests.evidence.formats.lora_scales import Scales
from spqr_tests.evidence.formats.piece import Piece, TensorFile
from spqr_tests.evidence.parts import Parts


@dataclass(frozen=True)
class LoraFile:
    """An adapter file that was recognised."""

    lora: Lora
    names: str
    """Whose names it uses, for messages: "kohya's"."""


def read(file: TensorFile, parts: Parts, config: Mapping[str, Any] | None = None) -> LoraFile | None:
    """The updates of an adapter file, None when it is none; `config` is peft's adapter_config.json where one lies beside it.

    `InputError` for an adapter that is no LoRA, for one whose modules are not all the base's or do not have its shapes, and for
    one that changes nothing.
    """
    if not lora_modules.is_adapter(file.tensors):
        return None
    modules, names = lora_modules.read(file)
    homes = Homes(parts).of_all(file.path, modules)
    scales = Scales(file, parts, config)
    updates: dict[tuple[str, str], Update] = {}
    for module, home in zip(modules, homes, strict=True):
        for update in _updates(file, home, module, scales.of(home, module)):
            key = (update.component, update.tensor)
            if key in updates:
                raise InputError(
                    f"{file.path} changes the {update.component}'s {update.tensor} twice, the second time by {module.named}."
                )
            updates[key] = update
    lora = Lora(tuple(updates[key] for key in sorted(updates)))
    if not any(_changes(update) for update in lora.updates):
        raise InputError(f"{file.path} changes nothing: its updates are all zero, and the base alone would be measured.")
    return LoraFile(lora, names)


def _updates(file: TensorFile, home: Home, module: Module, scale: float) -> Iterator[Update]:
    for place in home.places:
        weight = home.component.tensors[place.name].shape
        ones = (1,) * (len(weight) - 2)
        down = Piece(file, module.down, (module.rank, *weight[1:]))
        up = Piece(file, module.up, (weight[0], module.rank, *ones), place.rows)
        yield Update(home.component.name, place.name, down, up, scale)


def _changes(update: Update) -> bool:
    return all(any(block.count(0) != len(block) for block in _bytes(piece)) for piece in (update.up, update.down))


def _bytes(piece: Piece) -> Iterator[bytes]:
    bits = int(piece.stored.dtype.lstrip("BF").split("_")[0])
    yield from piece.file.blocks(piece.stored.name, 0, prod(piece.stored.shape) * bits // 8)
