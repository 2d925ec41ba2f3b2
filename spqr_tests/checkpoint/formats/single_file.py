"""Reads a single file: a checkpoint in its authors' own layout, without configs and tokenizers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spqr_tests import quotes
from spqr_tests.checkpoint.backbones.backbone import Backbone
from spqr_tests.checkpoint.formats import detection, pipeline_folder, stated_numbers
from spqr_tests.checkpoint.formats.identity_matrix import IdentityMatrix
from spqr_tests.checkpoint.formats.layouts.layout import Layout
from spqr_tests.checkpoint.formats.layouts.table import Original, Preset
from spqr_tests.checkpoint.formats.tensor import ModelTensor, TensorFile
from spqr_tests.checkpoint.formats.tokenizers import ClipVocabulary, Tokenizer
from spqr_tests.checkpoint.parts import Component, Parts
from spqr_tests.errors import InputError

_AS_OVERLAY = (
    "pass the pipeline folder that it belongs to as --model, and this file as --spqr-overlay"
)


@dataclass(frozen=True)
class _Architecture:
    """Everything but the weights; `name` is for messages."""

    name: str
    backbone: Backbone
    original: Original
    pipeline_class: str
    models: Mapping[str, tuple[str, Mapping[str, Any]]]
    tokenizers: Mapping[str, Tokenizer]
    scheduler: tuple[str, Mapping[str, Any]]
    arguments: Mapping[str, bool]


def read(target: str, file: TensorFile, backbones: Sequence[Backbone], config: str | None) -> Parts:
    """The checkpoint in a single file.

    `config` is a preset's name, or a folder with a pipeline's configs and tokenizers. Without it,
    the tensors decide the preset. Every tensor of the file must have a place, or be known as one
    that no model needs. Raises `InputError`; its message names `target`, which is what the user
    passed.
    """
    possible = _possible(target, file, backbones, config)
    architecture = _marked(target, file, possible[0])
    placed = _placed(target, file, architecture)
    if len(possible) > 1:
        names = " or ".join(f"--spqr-config {one.name}" for one in possible)
        raise InputError(
            f"--model {target}: the file does not say whether it is"
            f" {' or '.join(one.name for one in possible)}, which differ in what they predict;"
            f" pass {names}."
        )
    return Parts(
        architecture.backbone,
        architecture.pipeline_class,
        {
            name: Component(name, *architecture.models[name], tensors, file.path)
            for name, tensors in placed.items()
        },
        _tokenizers(target, architecture, placed),
        architecture.scheduler,
        architecture.arguments,
    )


def _possible(
    target: str, file: TensorFile, backbones: Sequence[Backbone], config: str | None
) -> list[_Architecture]:
    if config is None:
        return [
            _of_preset(*found) for found in detection.candidates(target, file.tensors, backbones)
        ]
    known = list(detection.presets(backbones))
    for found in known:
        if found[2].name == config:
            return [_of_preset(*found)]
    if not Path(config).is_dir():
        names = ", ".join(preset.name for _, _, preset in known)
        raise InputError(
            f"--spqr-config {config}: not a preset ({names}), nor a folder with a pipeline's"
            " model_index.json, configs and tokenizers."
        )
    return [_of_folder(config, backbones)]


def _of_preset(backbone: Backbone, original: Original, preset: Preset) -> _Architecture:
    tokenizers = {name: ClipVocabulary(pad) for name, pad in preset.tokenizers.items()}
    return _Architecture(
        preset.name,
        backbone,
        original,
        preset.pipeline_class,
        preset.models,
        tokenizers,
        preset.scheduler,
        preset.arguments,
    )


def _of_folder(config: str, backbones: Sequence[Backbone]) -> _Architecture:
    configs = pipeline_folder.read_configs(f"--spqr-config {config}", Path(config), backbones)
    if configs.backbone.original is None:
        raise InputError(
            f"--spqr-config {config}: single files of {configs.pipeline_class} are not read; pass"
            " its folder as --model."
        )
    return _Architecture(
        config,
        configs.backbone,
        configs.backbone.original,
        configs.pipeline_class,
        configs.models,
        configs.tokenizers,
        configs.scheduler,
        configs.arguments,
    )


def _marked(target: str, file: TensorFile, architecture: _Architecture) -> _Architecture:
    """The architecture with the scheduler settings that the file's marks mean.

    `InputError` when the configs of a folder do not have these settings.
    """
    scheduler_class, settings = architecture.scheduler
    said = {
        key: value
        for name, marks in architecture.original.marks.items()
        if name in file.tensors
        for key, value in marks.items()
    }
    is_preset = any(architecture.name == preset.name for preset in architecture.original.presets)
    for key, value in said.items():
        if not is_preset and settings.get(key) != value:
            raise InputError(
                f"--model {target}: the file is marked as one with {key} ="
                f" {quotes.shown(value)}, and the"
                f" scheduler's config in {architecture.name} says"
                f" {quotes.shown(settings.get(key))}; they must"
                " agree."
            )
    return replace(architecture, scheduler=(scheduler_class, {**settings, **said}))


def _placed(
    target: str, file: TensorFile, architecture: _Architecture
) -> dict[str, dict[str, ModelTensor]]:
    """The tensors of every component that the file holds.

    `InputError` for tensors without a place, for places without a tensor, and for places with two
    tensors.
    """
    original = architecture.original
    configs = {name: config for name, (_, config) in architecture.models.items()}
    layout = Layout(original, configs)
    _require_stated(target, file, architecture, configs)
    placed: dict[str, dict[str, ModelTensor]] = {name: {} for name in architecture.models}
    left: list[str] = []
    for stored in file.tensors.values():
        places = () if stored.name in original.marks else layout.places(stored.name, stored.shape)
        if places is None:
            left.append(f"{stored.name} {list(stored.shape)}")
        for component, place in places or ():
            if (there := placed[component].get(place.name)) is not None:
                raise InputError(
                    f"--model {target}: {there.stored.name} and {stored.name} are one tensor of the"
                    f" {component}; keep only one of them."
                )
            placed[component][place.name] = ModelTensor(
                file, stored, place.shape, place.rows, place.transposed
            )
    absent = [name for name, found in placed.items() if not found]
    if essential := [name for name in absent if name not in architecture.backbone.optional]:
        raise InputError(
            f"--model {target}: {file.path.name} holds no {', no '.join(essential)}, so it is a"
            f" part of a checkpoint: {_AS_OVERLAY}."
        )
    if left:
        raise InputError(
            f"--model {target}: read as a {original.name} ({architecture.name}), {len(left)} of its"
            f" {len(file.tensors)} tensors have no place, {left[0]} first. Pass the --spqr-config"
            " of its own architecture, or the model as a diffusers folder."
        )
    for name in absent:
        del placed[name]
    for name, found in placed.items():
        _complete(
            f"--model {target}: read as a {original.name} ({architecture.name})",
            file.path,
            layout,
            name,
            found,
        )
    return placed


def _require_stated(
    target: str,
    file: TensorFile,
    architecture: _Architecture,
    configs: Mapping[str, Mapping[str, Any]],
) -> None:
    """`InputError` unless the file repeats the numbers of the configs that its authors repeat."""
    original = architecture.original
    problem = stated_numbers.problem(original, file, configs)
    if absent := original.stated.keys() - file.tensors.keys():
        problem = f"it lacks {min(absent)}, which tells it from other models"
    if problem:
        raise InputError(
            f"--model {target}: read as a {original.name} ({architecture.name}), {problem}. Pass"
            " the --spqr-config of its own architecture, or the model as a diffusers folder."
        )


def _complete(
    read_as: str, path: Path, layout: Layout, component: str, found: dict[str, ModelTensor]
) -> None:
    """Add the identity matrices that files leave out; `InputError` if another tensor is missing."""
    for name, size in layout.identities(component).items():
        # Unless the sizes agree, the tensor is not an identity matrix but missing.
        if name not in found and any(tensor.shape[1:] == (size,) for tensor in found.values()):
            found[name] = IdentityMatrix(path, name, size).model_tensor()
    if missing := layout.names(component) - found.keys():
        raise InputError(
            f"{read_as}, it lacks {len(missing)} tensors of the {component}, {min(missing)} first."
            f" If it is a part of a checkpoint, {_AS_OVERLAY}."
        )


def _tokenizers(
    target: str, architecture: _Architecture, placed: Mapping[str, Any]
) -> dict[str, Tokenizer]:
    """One for each text encoder that the file holds."""
    tokenizers = {}
    for encoder in placed:
        name = encoder.replace("text_encoder", "tokenizer")
        if name not in architecture.backbone.tokenizers:
            continue
        if name not in architecture.tokenizers:
            raise InputError(
                f"--model {target}: it holds a {architecture.models[encoder][0]} ({encoder}), whose"
                f" tokenizer single files do not have: {_AS_OVERLAY}, or pass a folder with the"
                " pipeline's configs and tokenizers as --spqr-config."
            )
        tokenizers[name] = architecture.tokenizers[name]
    return tokenizers
