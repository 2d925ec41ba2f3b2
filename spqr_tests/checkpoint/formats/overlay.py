"""Overlays: weights that replace some of a base's, and adapters that are added to them.

Safety methods publish the weights that they changed and leave the base to the user. If a file that
fits nothing were accepted, the unaligned base would be measured instead. So each tensor of a file
must have a place.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from spqr_tests import files, quotes
from spqr_tests.checkpoint.formats import component_folder, gguf_file, inversion, kinds, quantised
from spqr_tests.checkpoint.formats.equal_tensors import same
from spqr_tests.checkpoint.formats.overlay_layouts import (
    LAYOUTS,
    Match,
    known_layouts,
    misfit,
    other_kind,
)
from spqr_tests.checkpoint.formats.tensor import ModelTensor, TensorFile
from spqr_tests.checkpoint.formats.tensor_files import open_file
from spqr_tests.checkpoint.lora.file import LoraFile
from spqr_tests.checkpoint.lora.file import read as read_lora
from spqr_tests.checkpoint.parts import Component, Parts
from spqr_tests.checkpoint.strengths import MERGE
from spqr_tests.checkpoint.words import Word
from spqr_tests.errors import InputError
from spqr_tests.store import links

_ADAPTER = ("adapter_model.safetensors", "adapter_model.bin")
_DIFFUSERS_LORA = ("pytorch_lora_weights.safetensors", "pytorch_lora_weights.bin")


@dataclass(frozen=True)
class Recognised:
    """What an overlay was recognised as."""

    path: Path
    layout: str
    """Whose names its tensors have: "diffusers' names"."""
    counts: Mapping[str, tuple[int, int]]
    """For each component, how many of its tensors change, and how many it has."""
    what: str = ""
    """What adapters give the tensors: "a low-rank update"; '' where they are replaced."""
    note: str = ""
    """What else a reader must know, as a phrase; '' for most files."""
    words: tuple[Word, ...] = ()
    """What an embedding of textual inversion teaches the text encoders."""
    strength: float = 1.0
    """How strongly something is added, as a factor; 1 is as it was trained."""
    spm: bool = False
    """Whether its authors scale it by the prompt, or may do so."""

    @property
    def sentence(self) -> str:
        """A sentence for reports.

        For example "esd.pt: 686 of the unet's 686 tensors are replaced, in diffusers' names".
        """
        if self.words:
            said = " and ".join(
                f"{word.text} ({next(iter(word.vectors.values())).shape[0]} vectors)"
                for word in self.words
            )
            return (
                f"{self.path.name}: the {' and the '.join(self.counts)} learn {said} by textual"
                " inversion; a prompt without it gives the same image"
            )
        parts = [
            f"{changed} of the {component}'s {total}"
            for component, (changed, total) in self.counts.items()
        ]
        listed = " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
        what = f"get {self.what}" if self.what else "are replaced"
        if self.strength != 1:
            what += f" at strength {self.strength:g}"
        said = f"{self.path.name}: {listed} tensors {what}, in {self.layout}"
        return f"{said}; it is {self.note}" if self.note else said


def apply(
    parts: Parts, path: Path, *, allow_pickle: bool, strength: float = 1.0, mode: str = ""
) -> tuple[Parts, Recognised]:
    """The checkpoint with an overlay applied, and what the overlay was recognised as.

    `path` is a file of weights or of a LoRA, a component's folder (config.json and its weights), a
    folder of peft (adapter_config.json) or a folder in which diffusers saved a LoRA. What is added
    to weights is added `strength` times; `mode` is 'merge' or 'prompt' for an SPM, as of
    `spm.recognised`. Raises `InputError` for a file with tensors that have no
    place in the base or another shape than the base's, for one that changes nothing, and for a
    strength of weights that replace the base's.
    """
    quantised.require_plain(path, {k: one.quantisation for k, one in parts.models.items()})
    if path.is_dir():
        changed, recognised = _folder(parts, path, allow_pickle=allow_pickle)
    elif path.is_file():
        changed, recognised = _file(parts, open_file(path, allow_pickle=allow_pickle), mode)
    else:
        raise InputError(f"--spqr-overlay {path}: there is no such file or folder.")
    _require_order(parts, changed, path)
    if mode and not recognised.spm:
        raise InputError(
            f"--spqr-overlay {path} is not an SPM or an ACE adapter, which alone may be scaled by"
            f" the prompt; leave @{mode} out."
        )
    if strength == 1:
        return changed, recognised
    if changed.scaled is not parts.scaled:
        raise InputError(
            f"--spqr-overlay {path} is an SPM, whose strength is another one for each prompt; leave"
            f" @{strength:g} out, or write {path.name}@{MERGE} to measure it at strength 1 for"
            " every prompt."
        )
    if recognised.words:
        raise InputError(
            f"--spqr-overlay {path} is an embedding of textual inversion, which has no strength;"
            f" leave @{strength:g} out."
        )
    if not recognised.what:
        raise InputError(
            f"--spqr-overlay {path} replaces weights, and only what is added to them (a LoRA) has a"
            f" strength; leave @{strength:g} out."
        )
    added = changed.loras[-1].scaled(strength)
    return replace(changed, loras=(*changed.loras[:-1], added)), replace(
        recognised, strength=strength
    )


def _require_order(before: Parts, after: Parts, path: Path) -> None:
    """`InputError` when weights are replaced to which an earlier LoRA was added.

    LoRAs are merged last, so the replaced weights would still get the update.
    """
    for update in (update for lora in before.loras for update in lora.updates):
        for name in update.names:
            old, new = (
                parts.models[update.component].tensors.get(name) for parts in (before, after)
            )
            if old is not new:
                raise InputError(
                    f"--spqr-overlay {path} replaces the {update.component}'s {name}, to which an"
                    " earlier overlay adds a LoRA; put the LoRA after it, or leave one of them out."
                )


def _folder(parts: Parts, folder: Path, *, allow_pickle: bool) -> tuple[Parts, Recognised]:
    if (folder / "model_index.json").exists():
        raise InputError(f"--spqr-overlay {folder} is a whole pipeline; pass it as --model.")
    if (folder / "adapter_config.json").exists():
        config = folder / "adapter_config.json"
        links.require_inside(config, folder)
        file = _first(folder, _ADAPTER, allow_pickle=allow_pickle)
        found = read_lora(file, parts, files.json_object(config))
        if found is None:
            raise InputError(
                f"--spqr-overlay {file.path} holds no LoRA, although {config.name} is next to it."
            )
        return _with_lora(parts, folder, found)
    if any((folder / name).exists() for name in _DIFFUSERS_LORA):
        file = _first(folder, _DIFFUSERS_LORA, allow_pickle=allow_pickle)
        found = read_lora(file, parts)
        if found is None:
            raise InputError(f"--spqr-overlay {file.path} holds no LoRA.")
        return _with_lora(parts, folder, found)
    for names in inversion.NAMES:
        there = [name for name in names if (folder / name).exists()]
        if there:
            opened = [_first(folder, (name,), allow_pickle=allow_pickle) for name in there]
            if words := inversion.read(opened, parts):
                return _with_words(parts, folder, words)
            return _file(parts, opened[0])
    if (folder / "config.json").exists():
        return _component(parts, folder, allow_pickle=allow_pickle)
    raise InputError(
        f"--spqr-overlay {folder} is not an overlay: expected a folder with config.json (a"
        f" component), adapter_config.json or {_DIFFUSERS_LORA[0]} (a LoRA), or"
        " learned_embeds.safetensors (an embedding). For weights without"
        " such a file, pass the file of weights itself."
    )


def _first(folder: Path, names: tuple[str, ...], *, allow_pickle: bool) -> TensorFile:
    path = next((folder / name for name in names if (folder / name).exists()), None)
    if path is None:
        raise InputError(f"--spqr-overlay {folder} holds no {names[0]}.")
    links.require_inside(path, folder)
    return open_file(path, allow_pickle=allow_pickle)


def _component(parts: Parts, folder: Path, *, allow_pickle: bool) -> tuple[Parts, Recognised]:
    links.require_inside(folder / "config.json", folder)
    config = files.json_object(folder / "config.json")
    named = config.get("_class_name") or config.get("architectures") or []
    model_class = named[0] if isinstance(named, list) and named else named
    models = parts.backbone.models
    names = [
        name
        for name in parts.models
        if isinstance(model_class, str) and model_class in models[name][1]
    ]
    if not names:
        raise InputError(
            f"--spqr-overlay {folder}: its config.json names the class"
            f" {quotes.shown(model_class)}, and the"
            " base consists of"
            f" {', '.join(sorted({model.model_class for model in parts.models.values()}))}."
        )
    current, config = parts.backbone.current(
        names[0],
        str(model_class),
        component_folder.read_config(str(model_class), folder, root=folder),
    )
    given = component_folder.read(
        names[0],
        current,
        models[names[0]][0],
        folder,
        allow_pickle=allow_pickle,
        root=folder,
        config=config,
    )
    quantised.require_plain(folder, {"": given.quantisation})
    problems = {name: _difference(given, parts.models[name]) for name in names}
    fitting = [name for name in names if not problems[name]]
    if len(fitting) > 1 and folder.name in fitting:
        fitting = [folder.name]
    if not fitting:
        raise InputError(
            f"--spqr-overlay {given.source} does not fit the base: "
            + "; ".join(problems.values())
            + "."
        )
    if len(fitting) > 1:
        raise InputError(
            f"--spqr-overlay {folder} may be the base's {' or '.join(fitting)}; give the folder"
            " the name of the right one."
        )
    name = fitting[0]
    _require_change(given.source, parts, {name: given.tensors})
    size = len(given.tensors)
    library = models[name][0]
    component = replace(given, name=name)
    return replace(parts, models={**parts.models, name: component}), Recognised(
        folder, f"{library}' names", {name: (size, size)}
    )


def _difference(given: Component, base: Component) -> str:
    """Why a component cannot replace the base's; '' when it can."""
    for what, names in (
        ("lacks", base.tensors.keys() - given.tensors.keys()),
        ("also has", given.tensors.keys() - base.tensors.keys()),
    ):
        if names:
            return f"unlike the {base.name} it {what} {len(names)} tensors, {min(names)} first"
    for name, tensor in given.tensors.items():
        if problem := misfit(tensor, base.tensors[name]):
            return f"{name} {problem.format(base.name)}"
    return ""


def _file(parts: Parts, file: TensorFile, mode: str = "") -> tuple[Parts, Recognised]:
    found = read_lora(file, parts, mode=mode)
    if found is not None:
        return _with_lora(parts, file.path, found)
    if words := inversion.read([file], parts):
        return _with_words(parts, file.path, words)
    kind = other_kind(file, parts)
    if kind:
        raise InputError(
            f"--spqr-overlay {file.path} is {kind}, which does not change the base's weights."
        )
    matches = [match for layout in LAYOUTS if (match := layout(file, parts)) is not None]
    match = max(matches, key=lambda match: (not match.problem, len(match.placed), match.near))
    if match.problem:
        raise InputError(_refusal(file, parts, match))
    changed: dict[str, dict[str, ModelTensor]] = {}
    for (component, name), tensor in match.placed.items():
        changed.setdefault(component, {})[name] = tensor
    _require_change(file.path, parts, changed)
    models = {
        name: _replaced(model, changed[name], file.path) if name in changed else model
        for name, model in parts.models.items()
    }
    counts = {
        name: (len(changed[name]), len(models[name].tensors)) for name in models if name in changed
    }
    unpacked = gguf_file.described(match.placed.values())
    return replace(parts, models=models), Recognised(
        file.path, match.layout, MappingProxyType(counts), note=unpacked
    )


def _replaced(model: Component, changed: Mapping[str, ModelTensor], path: Path) -> Component:
    whole = len(changed) == len(model.tensors)
    return replace(
        model, tensors={**model.tensors, **changed}, source=path if whole else model.source
    )


def _refusal(file: TensorFile, parts: Parts, match: Match) -> str:
    if not file.tensors:
        return f"--spqr-overlay {file.path} holds no tensors."
    if not match.placed and not match.near:
        return (
            f"--spqr-overlay {file.path} fits nothing in the base ({parts.backbone.name}:"
            f" {', '.join(parts.models)}): none of its {len(file.tensors)} tensors,"
            f" {next(iter(file.tensors))} first, is known. Known names: {known_layouts(parts)}."
            f"{_made_for(file, parts)}"
        )
    return (
        f"--spqr-overlay {file.path} does not fit the base ({parts.backbone.name}): in"
        f" {match.layout}, {len(match.placed)} of its {len(file.tensors)} tensors have a place;"
        f" {match.problem}.{_made_for(file, parts)}"
    )


def _made_for(file: TensorFile, parts: Parts) -> str:
    """A sentence for a file whose tensors are those of another family, or ''."""
    if kinds.is_autoencoder(file.tensors):
        return " It is an autoencoder (VAE) alone."
    made_for = kinds.family(file.tensors)
    same = made_for == parts.backbone.name
    return f" Its tensors are those of {made_for}." if made_for and not same else ""


def _with_lora(parts: Parts, path: Path, found: LoraFile) -> tuple[Parts, Recognised]:
    components = [update.component for update in found.lora.updates for _ in update.names]
    counts = {
        name: (components.count(name), len(model.tensors))
        for name, model in parts.models.items()
        if name in components
    }
    what, note = found.what, found.spm.note if found.spm else ""
    if found.spm and found.spm.scaled:
        what = f"{what} beside them"
    recognised = Recognised(
        path,
        f"{found.names} names",
        MappingProxyType(counts),
        what=what,
        note=note,
        spm=found.spm is not None,
    )
    if found.spm and found.spm.scaled:
        return replace(parts, scaled=(*parts.scaled, found.spm.scaled)), recognised
    _require_sum(parts, found, path)
    return replace(parts, loras=(*parts.loras, found.lora)), recognised


def _with_words(parts: Parts, path: Path, words: list[Word]) -> tuple[Parts, Recognised]:
    counts = {
        encoder: (sum(word.vectors[encoder].shape[0] for word in words), len(model.tensors))
        for encoder, model in parts.models.items()
        if encoder in words[0].vectors
    }
    recognised = Recognised(path, "", MappingProxyType(counts), words=tuple(words))
    return replace(parts, words=(*parts.words, *words)), recognised


def _require_sum(parts: Parts, found: LoraFile, path: Path) -> None:
    """`InputError` when the sum with an earlier adapter depends on which is applied first."""
    before = {
        (update.component, name): update.rotates
        for lora in parts.loras
        for update in lora.updates
        for name in update.names
    }
    for update in found.lora.updates:
        for name in update.names:
            earlier = before.get((update.component, name))
            if earlier or (earlier is not None and update.rotates):
                raise InputError(
                    f"--spqr-overlay {path} and an earlier adapter both change the"
                    f" {update.component}'s {name}, and one of them multiplies it, so that the"
                    " result depends on their order; merge them with the tool that made them."
                )


def _require_change(
    path: Path, parts: Parts, changed: Mapping[str, Mapping[str, ModelTensor]]
) -> None:
    """`InputError` when every tensor equals the base's: the base itself would be measured."""
    for component, named in changed.items():
        for name, tensor in named.items():
            if not same(tensor, parts.models[component].tensors[name]):
                return
    raise InputError(
        f"--spqr-overlay {path} changes nothing: all of its tensors equal the base's, so only the"
        " base would be measured."
    )
