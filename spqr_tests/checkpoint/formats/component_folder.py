"""A component's folder: its config and its weights.

The weights may have any of the usual file names, and their tensors current or older names.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spqr_tests import files
from spqr_tests.checkpoint.formats import agreement, language_models, quantised, shards
from spqr_tests.checkpoint.formats.tensor import ModelTensor, StoredTensor, TensorFile
from spqr_tests.checkpoint.formats.tensor_files import open_file
from spqr_tests.checkpoint.parts import Component
from spqr_tests.errors import InputError
from spqr_tests.store import links

# The names that each library gives to files of weights, as safetensors and as pickles.
_STEMS = {
    "diffusers": {"safetensors": "diffusion_pytorch_model", "bin": "diffusion_pytorch_model"},
    "transformers": {"safetensors": "model", "bin": "pytorch_model"},
    "kolors": {"safetensors": "model", "bin": "pytorch_model"},
}
_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_ATTENTION = re.compile(
    r"((?:en|de)coder\..+\.attentions\.\d+)"
    r"\.(query|key|value|proj_attn|to_q|to_k|to_v|to_out\.0)\.(weight|bias)"
)


@dataclass(frozen=True)
class _Weights:
    """A file of weights or an index of shards, and the label in its name ('', 'fp16', ...).

    diffusers calls the label a variant.
    """

    path: Path
    label: str
    sharded: bool


def read(
    name: str,
    model_class: str,
    library: str,
    folder: Path,
    *,
    allow_pickle: bool,
    root: Path,
    weightless: bool = False,
    config: Mapping[str, Any] | None = None,
) -> Component:
    """The component in `folder`; nothing is read from outside `root`.

    Its source is the file (or index of shards) that the weights are read from. Safetensors are
    preferred to pickles, and a file without a label in its name to those with one ('fp16'). With
    `weightless`, a folder without weights, or with an index that lacks some of its shards, is a
    component without tensors. `config` is the folder's, where it is known. Raises `InputError`.
    """
    config = read_config(model_class, folder, root=root) if config is None else config
    plain = {key: value for key, value in config.items() if key != quantised.KEY}
    if weightless and not _whole(folder, library, allow_pickle=allow_pickle):
        packed = quantised.of(folder, config)
        return Component(name, model_class, plain, {}, folder, packed)
    weights = open_weights(folder, library, allow_pickle=allow_pickle, root=root)
    tensors = canonical(model_class, weights)
    if language_models.is_one(model_class) and language_models.is_tied(config):
        tensors.pop(language_models.HEAD, None)  # a copy of the embeddings
    metadata = getattr(weights, "metadata", None)  # pickles have none
    packed = quantised.of(weights.path, config, metadata, weights.tensors)
    return Component(name, model_class, plain, tensors, weights.path, packed)


def read_config(model_class: str, folder: Path, *, root: Path) -> dict[str, Any]:
    """The config of the component in `folder`; nothing is read from outside `root`.

    Raises `InputError`.
    """
    links.require_inside(folder, root)
    path = folder / "config.json"
    if not links.present(path, root):
        raise InputError(
            f"{folder} has no config.json, which must say what kind of model its weights are for."
        )
    config = files.json_object(path)
    agreement.require_class(path, model_class, config)
    inner = config.get("text_config")
    if (
        model_class.startswith("CLIPText")
        and config.get("model_type") == "clip"
        and isinstance(inner, dict)
    ):
        return inner  # a config of both of CLIP's towers
    return config


def open_weights(folder: Path, library: str, *, allow_pickle: bool, root: Path) -> TensorFile:
    """The weights in a component's folder, in the file that `library` would save.

    `library` is 'diffusers' or 'transformers'.
    """
    path = choose(
        folder, [path.name for path in links.listing(folder)], library, allow_pickle=allow_pickle
    )
    links.require_inside(path, root)
    if path.suffix == ".json":
        return shards.Shards(path, root, allow_pickle=allow_pickle)
    return open_file(path, allow_pickle=allow_pickle)


def _whole(folder: Path, library: str, *, allow_pickle: bool) -> bool:
    """Whether a component's folder holds all its weights; links to nothing are not there."""
    names = [path.name for path in links.listing(folder) if path.exists()]
    if not any(_weights(folder, names, stem, suffix) for suffix, stem in _STEMS[library].items()):
        return False
    path = choose(folder, names, library, allow_pickle=allow_pickle)
    return path.suffix != ".json" or all((folder / shard).exists() for shard in shards.named(path))


def choose(folder: Path, names: Collection[str], library: str, *, allow_pickle: bool) -> Path:
    """The file among `names` that holds a component's weights, or the index of their shards.

    No file is opened. `InputError` when there is none, or more than one may be meant.
    """
    if "adapter_config.json" in names:
        raise InputError(
            f"{folder} holds adapter_config.json, which makes libraries load a file other than its"
            " weights; remove one."
        )
    found = {
        suffix: _weights(folder, names, stem, suffix) for suffix, stem in _STEMS[library].items()
    }
    if not found["safetensors"] and not (found["bin"] and allow_pickle):
        pickles = ", ".join(weights.path.name for weights in found["bin"])
        hint = (
            f" {pickles} is a pickle; if you trust its source, pass --spqr-allow-pickle to read it"
            " with weights_only."
        )
        raise InputError(
            f"{folder} holds no safetensors weights; expected"
            f" {_STEMS[library]['safetensors']}.safetensors." + (hint if pickles else "")
        )
    return _choose(folder, found["safetensors"] or found["bin"]).path


def canonical(model_class: str, file: TensorFile) -> dict[str, ModelTensor]:
    """The tensors of a model by their current names, whichever version of the libraries named them.

    `InputError` when two tensors have the same current name.
    """
    tensors: dict[str, ModelTensor] = {}
    for stored in file.tensors.values():
        found = canonical_name(model_class, stored)
        if found is None:
            continue
        name, shape = found
        tensor = ModelTensor(file, stored, shape)
        if name in tensors and not (
            name == "shared.weight" and tensors[name].digest() == tensor.digest()
        ):
            raise InputError(
                f"{file.path} holds {tensors[name].stored.name} and {stored.name}, which are one"
                " tensor of the model."
            )
        tensors[name] = tensor
    return tensors


def canonical_name(model_class: str, stored: StoredTensor) -> tuple[str, tuple[int, ...]] | None:
    """Name and shape in current models; None for a tensor that models no longer have."""
    if model_class.startswith("CLIPText"):
        name = stored.name.removeprefix("text_model.")
        return None if name == "embeddings.position_ids" else (name, stored.shape)
    if language_models.is_one(model_class):
        current = language_models.canonical_name(model_class, stored.name)
        return None if current is None else (current, stored.shape)
    if (
        model_class in {"T5EncoderModel", "UMT5EncoderModel"}
        and stored.name == "encoder.embed_tokens.weight"
    ):
        return "shared.weight", stored.shape
    if model_class == "AutoencoderKL" and (match := _ATTENTION.fullmatch(stored.name)):
        block, projection, what = match.groups()
        convolution = what == "weight" and stored.shape[2:] == (1, 1)
        return f"{block}.{_OLD_ATTENTION.get(projection, projection)}.{what}", (
            stored.shape[:2] if convolution else stored.shape
        )
    return stored.name, stored.shape


def _weights(folder: Path, names: Collection[str], stem: str, suffix: str) -> list[_Weights]:
    """The weights in one format that a folder holds, by their names."""
    single = re.compile(rf"{stem}(?:\.([A-Za-z0-9_]+))?\.{suffix}")
    index = re.compile(rf"{stem}\.{suffix}\.index(?:\.([A-Za-z0-9_]+))?\.json")
    return [
        _Weights(folder / name, match.group(1) or "", pattern is index)
        for name in sorted(names)
        for pattern in (single, index)
        if (match := pattern.fullmatch(name))
    ]


def _choose(folder: Path, found: list[_Weights]) -> _Weights:
    """The weights without a label, or those with the only label."""
    labels = sorted({weights.label for weights in found})
    chosen = [weights for weights in found if weights.label == labels[0]]
    if labels[0] and len(labels) > 1:
        names = " and ".join(weights.path.name for weights in found)
        raise InputError(
            f"{folder} holds {names}, and no file with the plain name; keep only the one to"
            " measure."
        )
    if len(chosen) > 1:
        plain, index = sorted(chosen, key=lambda weights: weights.sharded)
        raise InputError(
            f"{folder} holds {index.path.name}, which makes libraries load a file other than"
            f" {plain.path.name}; remove one."
        )
    return chosen[0]
