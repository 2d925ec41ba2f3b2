"""LoRA files: the updates that they add to a base."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Any

from spqr_tests.checkpoint.formats.tensor import ModelTensor, StoredTensor, TensorFile, itemsize
from spqr_tests.checkpoint.lora import spm
from spqr_tests.checkpoint.lora.change import Change
from spqr_tests.checkpoint.lora.kinds import LORA
from spqr_tests.checkpoint.lora.modules import Module, is_adapter
from spqr_tests.checkpoint.lora.modules import read as read_modules
from spqr_tests.checkpoint.lora.multiplied import PEFT_IA3
from spqr_tests.checkpoint.lora.scales import Scales, number
from spqr_tests.checkpoint.lora.spm import Spm
from spqr_tests.checkpoint.lora.targets import Target, Targets
from spqr_tests.checkpoint.lora.update import Lora, Update
from spqr_tests.checkpoint.parts import Parts
from spqr_tests.errors import InputError


@dataclass(frozen=True)
class LoraFile:
    """A recognised adapter file."""

    lora: Lora
    names: str
    """Whose names its tensors have, for messages: "kohya's"."""
    what: str = "a low-rank update"
    """What tensors get, for reports."""
    spm: Spm | None = None
    """What is to be known of an adapter that its authors scale by the prompt."""


def read(
    file: TensorFile, parts: Parts, config: Mapping[str, Any] | None = None, mode: str = ""
) -> LoraFile | None:
    """The changes of an adapter file; None when `file` is not an adapter.

    `config` is peft's adapter_config.json if there is one next to the file, and `mode` is that of
    `spm.recognised`. `InputError` for an
    adapter of a kind that is not merged here, for one whose modules the base lacks or has in
    another shape, and for one that changes nothing.
    """
    if not is_adapter(file.tensors):
        return None
    modules, names = read_modules(file)
    targets = Targets(parts).of_all(file.path, modules)
    scales = Scales(file, parts, config)
    updates: list[Update | Change] = []
    changed: set[tuple[str, str]] = set()
    for module, target in zip(modules, targets, strict=True):
        for update in _updates(file, target, module, scales):
            for name in update.names:
                if (update.component, name) in changed:
                    raise InputError(
                        f"{file.path} changes the {update.component}'s {name} twice, the"
                        f" second time by {module.named}."
                    )
                changed.add((update.component, name))
            updates.append(update)
    lora = Lora(tuple(sorted(updates, key=lambda update: (update.component, update.names))))
    if all(module.kind.idle(module.held, _Constants(file, module)) for module in modules):
        raise InputError(
            f"{file.path} changes nothing: its updates are all zero, so only the base would be"
            " measured."
        )
    what = dict.fromkeys(
        "a DoRA update" if "magnitude" in module.held else module.kind.update for module in modules
    )
    found = spm.recognised(file, modules, names, lora, parts, mode)
    return LoraFile(lora, names, " or ".join(what), found)


def _updates(
    file: TensorFile, target: Target, module: Module, scales: Scales
) -> Iterator[Update | Change]:
    scale, tensors = scales.of(target, module), target.component.tensors
    settings = scales.settings(target, module)
    if module.kind is not LORA or module.held.keys() != {"down", "up"}:
        held = {role: ModelTensor(file, one, one.shape) for role, one in module.held.items()}
        if (one := module.held.get("magnitude")) is not None:
            # Trainers store it with one axis, two or four.
            held["magnitude"] = ModelTensor(file, one, (prod(one.shape),))
        name = target.places[0].name.removesuffix(".weight") + ".bias"
        scaled = module.kind is PEFT_IA3 and not settings["feedforward"] and name in tensors
        yield Change(
            target.component.name,
            target.places,
            module.kind,
            MappingProxyType(held),
            scale,
            MappingProxyType(settings),
            name if scaled else "",
        )
        return
    down, up = module.held["down"], module.held["up"]
    for place in target.places:
        weight = tensors[place.name].shape
        ones = (1,) * (len(weight) - 2)
        yield Update(
            target.component.name,
            place.name,
            ModelTensor(file, down, (down.shape[0], *weight[1:])),
            ModelTensor(file, up, (weight[0], down.shape[0], *ones), place.rows),
            scale,
        )


@dataclass(frozen=True)
class _Constants:
    """The number that all elements of a module's tensor are; None when they differ."""

    file: TensorFile
    module: Module

    def __call__(self, role: str) -> float | None:
        # A DoRA draws W to other lengths even where it adds nothing.
        if "magnitude" in self.module.held:
            return None
        return constant(self.file, self.module.held[role])


def constant(file: TensorFile, stored: StoredTensor) -> float | None:
    """The number that all elements of a tensor are; None when they differ, or it has none."""
    size = itemsize(stored.dtype)
    first: bytes | None = None
    for block in file.blocks(stored.name, 0, prod(stored.shape) * size):
        first = block[:size] if first is None else first
        if block.count(first) < len(block) // size or first * (len(block) // size) != block:
            return None
    return number(stored.dtype, first) if first else None
