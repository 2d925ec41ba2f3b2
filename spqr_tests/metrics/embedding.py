"""Image embeddings, computed once and kept."""

import base64
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from spqr_tests.generation.generations import Generation
from spqr_tests.store import digest
from spqr_tests.store.images import Pixels
from spqr_tests.store.pictures import identity, read_rgb
from spqr_tests.store.pixel_budget import Decoded
from spqr_tests.store.store import Store

_BATCH = 64
Features = NDArray[np.float32]
"""Shape (n, width)."""


class ImageEncoder(Protocol):
    """What turns images into features."""

    @property
    def fingerprint(self) -> str:
        """Digest of everything that decides the features."""

    @property
    def discrepancy(self) -> Literal["kid", "cmmd"]:
        """The distance, unbiased in the number of images, that is customary for these features."""

    @property
    def features(self) -> str:
        """What the features are, for reports."""

    def embed_images(self, images: Sequence[Pixels]) -> Features:
        """Features (n, width) of RGB images (height, width, 3), uint8.

        Those of an image do not depend on the others.
        """


def of_generations(
    store: Store, encoder: ImageEncoder, generations: Sequence[Generation]
) -> Features:
    """Features (n, width) of generations."""
    return _of(
        store, encoder, [(generation.digest, generation.pixels) for generation in generations]
    )


def of_pictures(store: Store, encoder: ImageEncoder, paths: Sequence[Path]) -> Features:
    """Features (n, width) of picture files."""
    return _of(store, encoder, [(identity(path), partial(read_rgb, path)) for path in paths])


def _of(
    store: Store, encoder: ImageEncoder, images: Sequence[tuple[str, Callable[[], Pixels]]]
) -> Features:
    """Features of images, each given as a digest and a way to read it.

    An image is read only where the store has no features of it.
    """
    keys = [digest.of_json([encoder.fingerprint, image]) for image, _ in images]
    rows: dict[str, Features] = {}
    for start in range(0, len(keys), _BATCH):
        missing: dict[str, int] = {}
        for position in range(start, min(start + _BATCH, len(keys))):
            value = store.record("embeddings", keys[position])
            if value is None:
                missing.setdefault(keys[position], position)
            else:
                rows[keys[position]] = np.frombuffer(base64.b64decode(value), dtype="<f4")
        if missing:
            made = encoder.embed_images(
                Decoded([images[position][1] for position in missing.values()])
            )
            for key, row in zip(missing, made, strict=True):
                store.put_record(
                    "embeddings", key, base64.b64encode(row.astype("<f4").tobytes()).decode()
                )
                rows[key] = row
    return np.stack([rows[key] for key in keys])
