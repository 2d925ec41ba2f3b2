"""Image embeddings, computed once and kept."""

import base64
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from spqr_tests.generation.generations import Generation
from spqr_tests.store import digest
from spqr_tests.store.images import Pixels
from spqr_tests.store.pictures import identity, read_known
from spqr_tests.store.pixel_budget import Decoded
from spqr_tests.store.store import Store

KIND = "embeddings"
_BATCH = 64
"""Images that are read before they are embedded."""
Features = NDArray[np.float32]
"""Shape (n, width)."""


class ImageEncoder(Protocol):
    """What turns images into features."""

    @property
    def fingerprint(self) -> str:
        """Digest of everything that decides the features."""

    @property
    def computed_with(self) -> Mapping[str, Any]:
        """What may move the last bits, for keys, in JSON's types.

        Minor versions of the libraries that compute the features, and the shape of batches.
        """

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
    known = {path: identity(path) for path in paths}
    return _of(
        store, encoder, [(known[path], partial(read_known, path, known[path])) for path in paths]
    )


def whole(encoder: ImageEncoder) -> list[Any]:
    """What decides features, the last bit included: a part of the keys of all that uses them."""
    return [encoder.fingerprint, dict(encoder.computed_with)]


def key(encoder: ImageEncoder, image: str) -> str:
    """The store's key of the features of the image with this digest."""
    return digest.of_json([*whole(encoder), image])


def _of(
    store: Store, encoder: ImageEncoder, images: Sequence[tuple[str, Callable[[], Pixels]]]
) -> Features:
    """Features of images, each given as a digest and a way to read it.

    An image is read only where the store has no features of it.
    """
    keys = [key(encoder, image) for image, _ in images]
    rows: dict[str, Features] = {}
    for start in range(0, len(keys), _BATCH):
        missing: dict[str, int] = {}
        for position in range(start, min(start + _BATCH, len(keys))):
            value = store.record(KIND, keys[position])
            if value is None:
                missing.setdefault(keys[position], position)
            else:
                rows[keys[position]] = np.frombuffer(base64.b64decode(value), dtype="<f4")
        if missing:
            made = encoder.embed_images(
                Decoded([images[position][1] for position in missing.values()])
            )
            for (one, position), row in zip(missing.items(), made, strict=True):
                value = base64.b64encode(row.astype("<f4").tobytes()).decode()
                of = {"fingerprint": encoder.fingerprint, "picture": images[position][0]}
                store.put_record(KIND, one, value, of=of)
                rows[one] = row
    return np.stack([rows[one] for one in keys])
