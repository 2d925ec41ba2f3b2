"""Image embeddings, computed once and kept."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from spqr_tests.store import digest
from spqr_tests.store.decoded import Decoded
from spqr_tests.store.images import Picture, Pixels
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


def embed(store: Store, encoder: ImageEncoder, pictures: Sequence[Picture]) -> Features:
    """Features (n, width) of generations or users' pictures.

    One is read only where the store has no features of it.
    """
    keys = [key(encoder, picture.digest) for picture in pictures]
    rows: dict[str, Features] = {}
    for start in range(0, len(keys), _BATCH):
        missing: dict[str, Picture] = {}
        for one, picture in zip(keys[start : start + _BATCH], pictures[start:], strict=False):
            value = store.record(KIND, one)
            if value is None:
                missing.setdefault(one, picture)
            else:
                rows[one] = np.frombuffer(base64.b64decode(value), dtype="<f4")
        if missing:
            store.require_more("embeddings")
            made = encoder.embed_images(Decoded([one.pixels for one in missing.values()]))
            for (one, picture), row in zip(missing.items(), made, strict=True):
                value = base64.b64encode(row.astype("<f4").tobytes()).decode()
                of = {"fingerprint": encoder.fingerprint, "picture": picture.digest}
                store.put_record(KIND, one, value, of=of)
                rows[one] = row
    return np.stack([rows[one] for one in keys])


def whole(encoder: ImageEncoder) -> list[Any]:
    """What decides features, the last bit included: a part of the keys of all that uses them."""
    return [encoder.fingerprint, dict(encoder.computed_with)]


def key(encoder: ImageEncoder, image: str) -> str:
    """The store's key of the features of the image with this digest."""
    return digest.of_json([*whole(encoder), image])
