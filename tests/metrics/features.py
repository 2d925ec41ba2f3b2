"""Features and distances, computed in a second way."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from spqr_tests.store.pictures import KnownPicture

GLYPHS = ("heart", "ring", "tree")


def _read(pictures: Sequence[KnownPicture]) -> list[Any]:
    return [np.asarray(Image.open(picture.path).convert("RGB")) for picture in pictures]


def _features(seed: int, n: int = 60, width: int = 12) -> Any:
    rng = np.random.default_rng(seed)
    return (
        rng.standard_normal((n, width)) @ rng.standard_normal((width, width)) / 5
        + rng.standard_normal(width)
    ).astype(np.float32)
