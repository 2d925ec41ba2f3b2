"""Weights that diffusers' quantisers packed: which are read, and what a file says of each.

Of torchao, diffusers writes each packed weight as several tensors (`to_q._weight_qdata`,
`to_q._weight_scale`), and what they mean into the metadata of the safetensors file
(`torchao.prototype.safetensors`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spqr_tests import quotes
from spqr_tests.checkpoint.formats.tensor import StoredTensor
from spqr_tests.errors import InputError
from spqr_tests.store import libraries

KEY = "quantization_config"
LIBRARY = "torchao"
FLOAT8 = {"F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}
"""torch's names of numbers in 8 bits, by safetensors'."""
# The first versions with which the tests ran; older ones save and load other files.
_NEEDED = {LIBRARY: (0, 18), "diffusers": (0, 42), "peft": (0, 21)}
_READ = "Int8WeightOnlyConfig"
_TENSOR = "Int8Tensor"
_OTHERS = {
    "bitsandbytes": "diffusers loads them on a GPU alone, and a result must not depend on the card",
    "gguf": "they are a file of their own and no part of a pipeline's folder",
}


@dataclass(frozen=True)
class Quantisation:
    """How a component's weights are packed."""

    config: Mapping[str, Any]
    """`quantization_config` of its config.json."""
    metadata: Mapping[str, str]
    """What its file says of each tensor; empty without weights."""
    packed: Mapping[str, tuple[int, ...]]
    """Shape of each packed weight, as the model sees it."""
    parts: Mapping[str, str]
    """The packed weight that each stored part belongs to."""

    @property
    def kind(self) -> str:
        """In words, for sentences: 'torchao, int8 weights'."""
        return f"{LIBRARY}, int8 weights"

    def shapes(self, stored: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        """Name and shape of each tensor as the model sees them, from those of the stored ones."""
        plain = {name: shape for name, shape in stored.items() if name not in self.parts}
        return plain | dict(self.packed)

    def content(self) -> dict[str, Any]:
        """What decides its numbers besides the stored tensors, for fingerprints."""
        about = {name: json.loads(self.metadata[name]) for name in sorted(self.packed)}
        for one in about.values():
            one["_tensor_data_names"] = sorted(one["_tensor_data_names"])
        return {
            "config": self.config,
            "tensors": about,
            # Its release decides how packed weights are multiplied.
            "libraries": libraries.minor((LIBRARY,)),
        }


def require_known(path: Path, config: Mapping[str, Any]) -> None:
    """`InputError` when a config says that weights are packed in a way that is not read here.

    `path` is the config's, for messages. The libraries must be installed.
    """
    if not (found := config.get(KEY)):
        return
    method = found.get("quant_method") if isinstance(found, dict) else None
    if method != LIBRARY or "_class_name" not in config:
        known = _OTHERS.get(str(method), "")
        whose = "" if "_class_name" in config or method != LIBRARY else " of a text encoder"
        how = quotes.cut(method) if isinstance(method, str) else quotes.shown(found)
        raise InputError(
            f"{path} says that the weights{whose} are quantised ({how}), which are not read"
            f"{known and ': ' + known}; pass them in 16 or 32 bits, or in int8 by torchao."
        )
    kind = _kind(found)
    if kind != _READ:
        raise InputError(
            f"{path} says that the weights are quantised by torchao's {quotes.shown(kind)}; of"
            f" torchao's ways {_READ} is read. Pass the weights in 16 or 32 bits, or so quantised."
        )
    for name, least in _NEEDED.items():
        version = libraries.version(name)
        if version is None or _numbers(version) < least:
            wanted = ".".join(map(str, least))
            raise InputError(
                f"{path} says that the weights are quantised by torchao, which needs {name}"
                f" {wanted} or newer, and {version or 'none'} is installed: pip install"
                " 'spqr-tests[torchao]'."
            )


def require_plain(overlay: Path, found: Mapping[str, Quantisation | None]) -> None:
    """`InputError` for an overlay on packed weights, or one that is packed itself.

    `found` has how each component of the base is packed, and with the name '' how the overlay is.
    """
    for name, one in found.items():
        if one is not None and not name:
            raise InputError(
                f"--spqr-overlay {overlay} is quantised ({one.kind}); quantised weights are"
                " measured in a pipeline's folder, passed as --model."
            )
        if one is not None:
            raise InputError(
                f"--spqr-overlay {overlay}: the {name} of the base is quantised ({one.kind}), and"
                " overlays are merged into weights, which would make a model that nobody deploys."
                " Apply it to the base in 16 or 32 bits, or quantise the merged model and pass"
                " that."
            )


def _kind(config: Mapping[str, Any]) -> Any:
    """torchao's class of settings; diffusers writes it under 'default'."""
    kind = config.get("quant_type")
    default = kind.get("default") if isinstance(kind, dict) else None
    return default.get("_type") if isinstance(default, dict) else kind


def _numbers(version: str) -> tuple[int, ...]:
    first = version.split("+", maxsplit=1)[0].split(".")[:2]
    return tuple(int("".join(c for c in one if c.isdigit()) or 0) for one in first)


def of(
    path: Path,
    config: Mapping[str, Any],
    metadata: Mapping[str, str] | None = None,
    tensors: Mapping[str, StoredTensor] | None = None,
) -> Quantisation | None:
    """How the weights in the file at `path` are packed; None if its config does not say they are.

    Without `tensors`, only what the config says. `InputError` when the file's metadata and tensors
    do not agree.
    """
    if not (settings := config.get(KEY)):
        return None
    if tensors is None:
        return Quantisation(settings, {}, {}, {})
    about = metadata or {}
    try:
        packed, parts = _packed(about, tensors)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path} does not hold what its config calls weights quantised by torchao: its metadata"
            f" and its tensors disagree ({quotes.cut(str(error))}). Save the model anew by"
            " diffusers' save_pretrained with torchao 0.18 or newer."
        ) from error
    return Quantisation(settings, dict(about), packed, parts)


def _packed(
    about: Mapping[str, str], tensors: Mapping[str, StoredTensor]
) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    """The packed weights with their shapes, and the stored parts with the weight of each."""
    packed: dict[str, tuple[int, ...]] = {}
    parts: dict[str, str] = {}
    names = json.loads(about["tensor_names"])
    for name in names:
        found = json.loads(about[name])
        if found["_type"] == "Tensor":
            continue
        packed[name] = _shape(name, found, tensors)
        parts |= {_part(name, one): name for one in found["_tensor_data_names"]}
    held = {*(set(names) - packed.keys()), *parts}
    if held != tensors.keys():
        raise ValueError(min(held ^ tensors.keys()))
    if not packed:
        raise ValueError("no tensor is packed")
    return packed, parts


def _part(name: str, part: str) -> str:
    """The stored name of a part of a packed weight, as torchao writes it."""
    module, _, weight = name.rpartition(".")
    return f"{module}._{weight}_{part}"


def _shape(
    name: str, found: Mapping[str, Any], tensors: Mapping[str, StoredTensor]
) -> tuple[int, ...]:
    """The shape of a packed weight, whose parts must fit it."""
    data = found["_data"]
    if found["_type"] != _TENSOR or data["act_quant_kwargs"] is not None:
        raise ValueError(f"{name} is another kind of tensor")
    parts = {one: tensors[_part(name, one)] for one in found["_tensor_data_names"]}
    values, block = parts["qdata"], tuple(data["block_size"])
    if not (
        values.dtype == "I8"
        and {"qdata", "scale"} <= parts.keys() <= {"qdata", "scale", "zero_point"}
        and len(block) == len(values.shape) == 2
        and all(type(one) is int and one > 0 for one in block)
    ):
        raise ValueError(f"{name} is packed in another way")
    rows, columns = (size // one for size, one in zip(values.shape, block, strict=True))
    scales = {one.shape for part, one in parts.items() if part != "qdata"}
    if (rows * block[0], columns * block[1]) != values.shape or scales != {(rows, columns)}:
        raise ValueError(f"the parts of {name} do not fit together")
    return values.shape
