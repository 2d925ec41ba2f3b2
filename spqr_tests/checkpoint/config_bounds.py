"""Bounds of configs: what is far beyond every published model is refused before it is built.

A config that asks for more would fill the memory, or take hours, before its model's tensors are
compared with the weights.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spqr_tests import quotes
from spqr_tests.errors import InputError

# Above every published architecture (at most a vocabulary of 250,000, 57 blocks and 16 levels).
_MOST = 2**20
_MOST_LAYERS = 1024
_LONGEST = 256
# A model's layers are at most the product of all numbers of layers and of levels; FLUX.1's
# product, the largest published, is 722.
_MOST_TOGETHER = 2**14
# Of a language model: a list of its layers' kinds, and from which layer on they may differ.
_NO_COUNTS = ("layer_types", "max_window_layers")
# Rotary embeddings' base, of up to a billion, multiplies no size.
_NO_SIZES = ("rope_theta",)
# All published schedulers have 1000.
_MOST_TIMESTEPS = 10_000


def require_model(source: Path, config: Mapping[str, Any]) -> None:
    """`InputError` for a component's config that asks for far more than any published model."""
    together = 1
    for key, inner in config.items():
        if not key.startswith("_"):
            together *= _levels(source, key, inner)
    if together > _MOST_TOGETHER:
        raise InputError(
            f"{source}: its config's numbers of layers and blocks make up to {together:,} layers,"
            " far more than in any published model; the config is damaged."
        )


def require_scheduler(source: Path, config: Mapping[str, Any]) -> None:
    """`InputError` for a scheduler's config with far more timesteps than any published one."""
    for key, inner in config.items():
        steps = "timesteps" in key or "steps" in key
        _require(source, key, inner, _MOST_TIMESTEPS if steps else _MOST, _MOST_TIMESTEPS)


def _levels(source: Path, key: str, value: Any) -> int:
    """The most layers that a value of a config multiplies others by, once it is bounded."""
    if key in _NO_SIZES:
        return 1
    counts = ("layers" in key or "blocks" in key) and key not in _NO_COUNTS
    _require(source, key, value, _MOST_LAYERS if counts else _MOST, _LONGEST)
    if key in _NO_COUNTS:
        return 1
    if isinstance(value, list | tuple) and value:
        if all(isinstance(one, str) for one in value):
            return len(value)  # a block of a UNet or a VAE each
        return max(_levels(source, key, one) for one in value)
    counted = counts and isinstance(value, int) and not isinstance(value, bool)
    return max(1, abs(value)) if counted else 1


def _require(source: Path, key: str, value: Any, most: int, longest: int) -> None:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            _levels(source, str(name), inner)
    elif isinstance(value, list | tuple):
        if len(value) > longest:
            raise _too_much(source, key, f"{len(value)} values")
        for inner in value:
            _require(source, key, inner, most, longest)
    elif isinstance(value, int | float) and abs(value) > most and not _is_open(value):
        raise _too_much(source, key, quotes.shown(value))


def _is_open(value: float) -> bool:
    """Whether a number is minus infinity, with which schedulers say that nothing is clipped."""
    return isinstance(value, float) and value == -math.inf


def _too_much(source: Path, key: str, what: str) -> InputError:
    return InputError(
        f"{source}: its config says {quotes.cut(key)} = {what}, far more than in any published"
        " model; the config is damaged."
    )
