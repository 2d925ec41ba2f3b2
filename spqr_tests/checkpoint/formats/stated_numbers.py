"""Tensors that repeat numbers of a config: a file with others is of another model."""

import math
from collections.abc import Mapping
from typing import Any

from spqr_tests import quotes
from spqr_tests.checkpoint.formats.layouts.table import Original
from spqr_tests.checkpoint.formats.tensor import TensorFile

# Files hold them in 16 bits.
_ROUNDING = 2.0**-8


def problem(original: Original, file: TensorFile, configs: Mapping[str, Mapping[str, Any]]) -> str:
    """What a file says otherwise than the components' configs, as a part of a sentence; or ''.

    Only the tensors that it holds are compared.
    """
    for name, (component, key) in original.stated.items():
        if name not in file.tensors:
            continue
        expected = configs.get(component, {}).get(key)
        numbers = expected if isinstance(expected, list | tuple) else ()
        shape = file.tensors[name].shape
        same = math.prod(shape) == len(numbers) and all(
            math.isclose(one, other, rel_tol=_ROUNDING, abs_tol=_ROUNDING)
            for one, other in zip(
                file.tensor(name).flatten().tolist(), map(float, numbers), strict=True
            )
        )
        if not same:
            return f"{name} is not the {component}'s {key} ({quotes.shown(expected)})"
    return ""
