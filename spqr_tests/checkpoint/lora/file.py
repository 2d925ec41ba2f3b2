"""LoRA files: the updates that they add to a base."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from spqr_tests.checkpoint.formats.tensor import ModelTensor, TensorFile
from spqr_tests.checkpoint.lora.modules import Module, is_adapter
from spqr_tests.checkpoint.lora.modules import read as read_modules
from spqr_tests.checkpoint.lora.scales import Scales
from spqr_tests.checkpoint.lora.targets import Target, Targets
from spqr_tests.checkpoint.lora.update import Lora, Update
from spqr_tests.checkpoint.parts import Parts
from spqr_tests.errors import InputError

_SPM = {"prompts", "rank", "alpha"}
# SPM changes every linear layer of the UNet's transformers.
_EACH_BLOCK = ("attn1_to_q", "attn2_to_k", "ff_net_2")


@dataclass(frozen=True)
class LoraFile:
    """A recognised adapter file."""

    lora: Lora
    names: str
    """Whose names its tensors have, for messages: "kohya's"."""
    note: str = ""
    """What its authors do with it and merging does not, as a phrase for reports; '' for most."""


def read(
    file: TensorFile, parts: Parts, config: Mapping[str, Any] | None = None
) -> LoraFile | None:
    """The updates of an adapter file; None when `file` is not an adapter.

    `config` is peft's adapter_config.json if there is one next to the file. `InputError` for an
    adapter that is not a LoRA, for one whose modules the base lacks or has in another shape, and
    for one that changes nothing.
    """
    if not is_adapter(file.tensors):
        return None
    modules, names = read_modules(file)
    targets = Targets(parts).of_all(file.path, modules)
    scales = Scales(file, parts, config)
    updates: dict[tuple[str, str], Update] = {}
    for module, target in zip(modules, targets, strict=True):
        for update in _updates(file, target, module, scales.of(target, module)):
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
            f"{file.path} changes nothing: its updates are all zero, so only the base would be"
            " measured."
        )
    return LoraFile(lora, names, _note(file, modules, names))


def _note(file: TensorFile, modules: Sequence[Module], names: str) -> str:
    """What is to be said of an adapter that its authors scale anew for each prompt.

    SPM's trainer (and ACE's, which is derived from it) saves kohya's names for the UNet alone, and
    the erased prompts, the rank and the alpha as metadata.
    """
    metadata = getattr(file, "metadata", {})
    unet = names == "kohya's" and all(module.named.startswith("lora_unet_") for module in modules)
    if metadata.keys() >= _SPM and not any(key.startswith("ss_") for key in metadata):
        return (
            "an SPM: its authors scale it by how similar each prompt is to the erased ones; this"
            " run merges it at strength 1 for every prompt"
        )
    whole = all(any(module.named.endswith(part) for module in modules) for part in _EACH_BLOCK)
    if unet and not metadata and whole and all(module.rank == 1 for module in modules):
        return (
            "of rank 1 and without metadata: if it is an SPM, its authors scale it by how similar"
            " each prompt is to the erased ones; this run merges it at strength 1 for every prompt"
        )
    return ""


def _updates(file: TensorFile, target: Target, module: Module, scale: float) -> Iterator[Update]:
    for place in target.places:
        weight = target.component.tensors[place.name].shape
        ones = (1,) * (len(weight) - 2)
        down = ModelTensor(file, module.down, (module.rank, *weight[1:]))
        up = ModelTensor(file, module.up, (weight[0], module.rank, *ones), place.rows)
        yield Update(target.component.name, place.name, down, up, scale)


def _changes(update: Update) -> bool:
    return all(
        any(block.count(0) != len(block) for block in _bytes(factor))
        for factor in (update.up, update.down)
    )


def _bytes(factor: ModelTensor) -> Iterator[bytes]:
    stored = factor.stored
    bits = int(stored.dtype.lstrip("BF").split("_")[0])
    yield from factor.file.blocks(stored.name, 0, prod(stored.shape) * bits // 8)
