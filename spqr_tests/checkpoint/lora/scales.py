"""The factors that scale the modules of a LoRA."""

import json
import re
from collections.abc import Mapping
from math import isfinite, sqrt
from pathlib import Path
from typing import Any

import numpy as np

from spqr_tests import quotes
from spqr_tests.checkpoint.formats.tensor import StoredTensor, TensorFile
from spqr_tests.checkpoint.lora.modules import Module
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
    "use_dora",
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

    def of(self, target: Target, module: Module) -> float:
        """The scale of one module.

        `InputError` when the file says it twice, or says something other than a number above 0.
        """
        config = self._configs.get(target.component.name)
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
        return alpha / module.rank


class _Config:
    """The settings in peft's config that say what one component's adapter adds to the weights."""

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self._path = path
        kind = settings.get("peft_type", "LORA")
        if kind != "LORA":
            raise InputError(
                f"{path} is a peft adapter of the type {kind}, and only LoRA is merged here; merge"
                " it with peft."
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
        self._alpha = self._value("lora_alpha", settings.get("lora_alpha", 8))
        self._rank = self._value("r", settings.get("r", 8))
        self._alphas = self._patterns("alpha_pattern", settings)
        self._ranks = self._patterns("rank_pattern", settings)

    def scale(self, module: str, rank: int) -> float:
        said = _matched(self._ranks, module, self._rank)
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
    kind = _DTYPES[stored.dtype]
    data = np.frombuffer(b"".join(file.blocks(stored.name, 0, np.dtype(kind).itemsize)), dtype=kind)
    if stored.dtype == "BF16":
        data = (data.astype("<u4") << 16).view("<f4")
    return float(data[0])
