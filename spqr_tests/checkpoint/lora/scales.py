"""The factors that scale the modules of a LoRA."""

import json
import re
from collections.abc import Mapping
from math import isfinite, prod, sqrt
from pathlib import Path
from typing import Any

import numpy as np

from spqr_tests import quotes
from spqr_tests.checkpoint.formats.tensor import StoredTensor, TensorFile
from spqr_tests.checkpoint.lora.change import shape_of
from spqr_tests.checkpoint.lora.kinds import LOHA, LOKR, LORA
from spqr_tests.checkpoint.lora.modules import Module
from spqr_tests.checkpoint.lora.multiplied import LYCORIS_IA3, PEFT_BOFT, PEFT_IA3, PEFT_OFT
from spqr_tests.checkpoint.lora.targets import Target
from spqr_tests.checkpoint.parts import Parts
from spqr_tests.errors import InputError

_METADATA = "lora_adapter_metadata"
# The values of peft's init_lora_weights that leave the base's own weights unchanged.
_UNCHANGING_STARTS = (True, False, None, "gaussian", "eva", "orthogonal")
_DTYPES = {
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "<i1",
    "U8": "<u1",
}
# Settings of peft that make an adapter more than a product of two matrices.
_OTHER_SUMS = (
    "lora_bias",
    "use_qalora",
    "use_bdlora",
    "layer_replication",
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "monteclora_config",
    "velora_config",
)
_TYPES = {
    "LORA": (LORA,),
    "LOHA": (LOHA,),
    "LOKR": (LOKR,),
    "OFT": (PEFT_OFT,),
    "BOFT": (PEFT_BOFT,),
    "IA3": (PEFT_IA3,),
}
_RANKED = ("LORA", "LOHA", "LOKR")
_ROTATION: dict[str, Any] = {
    "coft": bool,
    "eps": float,
    "block_share": bool,
    "use_cayley_neumann": bool,
    "num_cayley_neumann_terms": int,
}


class Scales:
    """The factor of each module: alpha / rank.

    Alpha comes from the file's tensor for it or from peft's config; with neither, it is the rank.
    """

    def __init__(self, file: TensorFile, parts: Parts, config: Mapping[str, Any] | None) -> None:
        self._file = file
        components = tuple(parts.models)
        text = getattr(file, "metadata", {}).get(_METADATA) if config is None else None
        table = _parsed(file.path, text) if text is not None else config
        self._configs: dict[str, _Config] = {}
        if table is None:
            return
        named = any(key.startswith(f"{component}.") for key in table for component in components)
        for component in components:
            prefix = f"{component}." if named else ""
            settings = {
                key.removeprefix(prefix): value
                for key, value in table.items()
                if key.startswith(prefix)
            }
            if settings:
                self._configs[component] = _Config(file.path, settings)

    def settings(self, target: Target, module: Module) -> dict[str, Any]:
        """What a module's kind needs to know besides its tensors.

        `InputError` when neither the file nor peft's config says it.
        """
        config = self._configs.get(target.component.name)
        weight = shape_of(target.places, target.component.tensors[target.places[0].name].shape)
        if "magnitude" in module.held:
            return {"dora": "inputs" if module.inputs else "outputs"}
        if module.kind.constrained:
            return {"constraint": self._constraint(module)}
        if module.kind is PEFT_OFT:
            return self._of_config(config, module).rotation()
        if module.kind is PEFT_IA3:
            inputs = _scales_inputs(module.held["ia3_l"].shape, weight)
            if inputs is None:
                inputs = self._of_config(config, module).feeds_forward(target.module)
            return {"feedforward": inputs}
        if module.kind is LYCORIS_IA3:
            inputs = bool(_number(self._file, module.held["on_input"]))
            if prod(module.held["vector"].shape) != weight[1 if inputs else 0]:
                raise InputError(
                    f"{self._file.path} is a LoRA of another base: {module.named} scales"
                    f" {prod(module.held['vector'].shape)} {'inputs' if inputs else 'outputs'}, and"
                    f" the {target.component.name}'s {target.places[0].name} is {list(weight)}."
                )
        return {}

    def _constraint(self, module: Module) -> float:
        """The bound of an OFT's rotations, 0 for none."""
        value = _number(self._file, module.alpha) if module.alpha is not None else 0.0
        # kohya's OFT is bounded always; LyCORIS' only where the bound is above 0.
        least = "above 0" if module.named.startswith("oft_unet_") else "0 or more"
        if not isfinite(value) or value < 0 or (value == 0 and least == "above 0"):
            raise InputError(
                f"{self._file.path}: the constraint of {module.named} is {value:g}; expected a"
                f" number {least}."
            )
        return value

    def _of_config(self, config: "_Config | None", module: Module) -> "_Config":
        if config is None:
            raise InputError(
                f"{self._file.path} is {module.kind.name} of peft, whose settings are in"
                " adapter_config.json; pass the folder that holds both."
            )
        return config

    def of(self, target: Target, module: Module) -> float:
        """The scale of one module.

        `InputError` when the file says it twice, or says something other than a number above 0.
        """
        config = self._configs.get(target.component.name)
        if config is not None:
            config.require(module)
        if module.kind.constrained or not module.kind.strengths or module.kind is LYCORIS_IA3:
            return 1.0
        if module.alpha is None:
            return config.scale(target.module, module.rank) if config is not None else 1.0
        if config is not None:
            raise InputError(
                f"{self._file.path} gives the scale of {module.named} twice: in {module.alpha.name}"
                " and in its adapter config."
            )
        alpha = _number(self._file, module.alpha)
        if not (isfinite(alpha) and alpha > 0):
            raise InputError(
                f"{self._file.path}: {module.alpha.name} is {alpha}; an alpha is a number above 0."
            )
        return alpha / module.rank if module.rank is not None else 1.0


def _scales_inputs(vector: tuple[int, ...], weight: tuple[int, ...]) -> bool | None:
    """Whether a vector of (IA)3 scales a layer's inputs; None when its shape does not tell."""
    if len(weight) == 2:
        return vector[0] == 1 if vector[0] != vector[1] else None
    return None if weight[0] == weight[1] else vector[1] == weight[1]


class _Config:
    """The settings in peft's config that say what one component's adapter adds to the weights."""

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self._path = path
        self._settings = settings
        self._type = settings.get("peft_type", "LORA")
        if not isinstance(self._type, str) or self._type not in _TYPES:
            raise InputError(
                f"{path} is a peft adapter of the type {quotes.shown(self._type)}, and only"
                f" {', '.join(_TYPES)} are merged here; merge it with peft."
            )
        odd = [key for key in _OTHER_SUMS if settings.get(key)]
        if odd:
            raise InputError(
                f"{path} is a LoRA with {odd[0]}, which is more than a product of two matrices;"
                " merge it with peft."
            )
        start = settings.get("init_lora_weights", True)
        if not any(
            start is known or (isinstance(start, str) and start == known)
            for known in _UNCHANGING_STARTS
        ):
            raise InputError(
                f"{path} was trained with init_lora_weights {quotes.shown(start)}, which"
                " changes the base's"
                " weights as well; convert it with peft's"
                " path_initial_model_for_weight_conversion."
            )
        self._rslora = bool(settings.get("use_rslora"))
        if self._type not in _RANKED:
            return
        key = "lora_alpha" if self._type == "LORA" else "alpha"
        self._alpha = self._value(key, settings.get(key, 8))
        self._rank = self._value("r", settings.get("r", 8))
        self._alphas = self._patterns("alpha_pattern", settings)
        self._ranks = self._patterns("rank_pattern", settings)

    def require(self, module: Module) -> None:
        """`InputError` when a module is of another kind than the config says."""
        if module.kind not in _TYPES[self._type]:
            raise InputError(
                f"{self._path}: {module.named} is {module.kind.name}, and the adapter config says"
                f" that the type is {self._type}."
            )
        dora = bool(self._settings.get("use_dora"))
        if dora and "magnitude" not in module.held:
            raise InputError(
                f"{self._path} is damaged: its adapter config says that it is a DoRA, and"
                f" {module.named} has no lora_magnitude_vector."
            )

    def rotation(self) -> dict[str, Any]:
        """The settings of peft's OFT that its rotations depend on."""
        found = {key: self._settings[key] for key in _ROTATION if key in self._settings}
        for key, value in found.items():
            wanted = _ROTATION[key]
            if isinstance(value, bool) != (wanted is bool) or not isinstance(value, wanted):
                raise InputError(
                    f"{self._path}: its adapter config says {key} = {quotes.shown(value)}; expected"
                    f" {'true or false' if wanted is bool else 'a number'}."
                )
        # Its default changed between versions of peft.
        if "use_cayley_neumann" not in found:
            raise InputError(
                f"{self._path}: its adapter config does not say use_cayley_neumann, without which"
                " the rotations of an OFT are unknown; save it with peft 0.17 or later."
            )
        return found

    def feeds_forward(self, module: str) -> bool:
        """Whether (IA)3 scales the inputs of a module."""
        names = self._settings.get("feedforward_modules") or []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InputError(
                f"{self._path}: its adapter config's feedforward_modules are"
                f" {quotes.shown(names)}; only a list of names is supported."
            )
        return any(module == name or module.endswith(f".{name}") for name in names)

    def scale(self, module: str, rank: int | None) -> float:
        said = _matched(self._ranks, module, self._rank)
        rank = int(said) if rank is None else rank
        if said != rank:
            raise InputError(
                f"{self._path}: {module} has the rank {rank}, and the adapter config says {said:g}."
            )
        return _matched(self._alphas, module, self._alpha) / (sqrt(rank) if self._rslora else rank)

    def _value(self, key: str, value: Any) -> float:
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not isfinite(value)
            or value <= 0
        ):
            raise InputError(
                f"{self._path}: its adapter config says {key} = {quotes.shown(value)}, which is"
                " not a number"
                " above 0."
            )
        return float(value)

    def _patterns(self, key: str, settings: Mapping[str, Any]) -> dict[str, float]:
        table = settings.get(key) or {}
        if not isinstance(table, dict):
            raise InputError(f"{self._path}: its adapter config's {key} is not a table.")
        for pattern in table:
            # peft reads them as regular expressions. Trainers write names, whose only special
            # character is the dot.
            if not re.fullmatch(r"\^?[\w.-]+", pattern):
                raise InputError(
                    f"{self._path}: its adapter config's {key} names {quotes.named(pattern)};"
                    " only names of"
                    " modules are supported."
                )
        return {
            pattern: self._value(f"{key}[{pattern}]", value) for pattern, value in table.items()
        }


def _matched(patterns: Mapping[str, float], module: str, default: float) -> float:
    """The value of the first name that is the module's, or its end after a dot.

    A name that starts with '^' must be the module's whole name.
    """
    for pattern, value in patterns.items():
        name = pattern.removeprefix("^")
        if module == name or (name == pattern and module.endswith(f".{name}")):
            return value
    return default


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        table = json.loads(text)
    except (ValueError, RecursionError):
        table = None
    if not isinstance(table, dict):
        raise InputError(f"{path}: its metadata's {_METADATA} is not a JSON table.")
    return table


def _number(file: TensorFile, stored: StoredTensor) -> float:
    """The one number of a tensor."""
    size = np.dtype(_DTYPES[stored.dtype]).itemsize
    return number(stored.dtype, b"".join(file.blocks(stored.name, 0, size)))


def number(dtype: str, data: bytes) -> float:
    """The number of these bytes, of a dtype that adapters are stored in."""
    if dtype not in _DTYPES:  # float8: only whether it is 0 matters, and its zero is all zeros
        return float(any(data))
    found = np.frombuffer(data, dtype=_DTYPES[dtype])
    if dtype == "BF16":
        found = (found.astype("<u4") << 16).view("<f4")
    return float(found[0])
