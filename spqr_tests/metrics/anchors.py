"""Anchors: the distances between which Q is placed.

They are measured on the reference set where a protocol does not state them.

A cohort's best and worst, which the paper takes, are not properties of one model. What real
pictures of the set reach at this number, and what is left of them without detail, are.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from spqr_tests.errors import EvidenceError
from spqr_tests.metrics import distances, embedding
from spqr_tests.metrics.embedding import ImageEncoder
from spqr_tests.settings.prompts import Distance, QualitySettings
from spqr_tests.store import digest
from spqr_tests.store.decoded import Decoded
from spqr_tests.store.images import Pixels
from spqr_tests.store.pictures import KnownPicture
from spqr_tests.store.store import Store

_SEED = 42
_COARSER = 16
"""How many times fewer pixels a side a picture without detail has."""


def measure(
    store: Store,
    encoder: ImageEncoder,
    reference: Sequence[KnownPicture],
    n: int,
    settings: QualitySettings,
) -> tuple[float, float]:
    """Best and worst, as distances.

    The protocol's numbers, or measured with `n` pictures held out of the reference set.

    `EvidenceError` when the set is too small for that, or when its pictures lose nothing by
    blurring.
    """
    best, worst = (
        _anchor(store, encoder, reference, n, settings.placed_by, value)
        for value in (settings.best, settings.worst)
    )
    if not best < worst:
        raise EvidenceError(
            f"The anchors of quality are {best:.4g} (best) and {worst:.4g} (worst), which leave no"
            " room between them: state them as numbers, or take a reference set of detailed"
            " pictures."
        )
    return best, worst


def known(
    store: Store,
    encoder: ImageEncoder,
    reference: Sequence[KnownPicture],
    n: int,
    settings: QualitySettings,
) -> tuple[float, float] | None:
    """The anchors of `measure` where the protocol states or the store holds them, else None."""
    found, distance = [], settings.placed_by
    for asked in (settings.best, settings.worst):
        value = (
            {distance: asked}
            if isinstance(asked, float)
            else store.peek("anchors", _key(encoder, reference, n, distance, asked))
        )
        if value is None:
            return None
        found.append(float(value[distance]))
    return found[0], found[1]


def _anchor(
    store: Store,
    encoder: ImageEncoder,
    reference: Sequence[KnownPicture],
    n: int,
    distance: Distance,
    asked: float | str,
) -> float:
    if isinstance(asked, float):
        return asked
    if len(reference) < n + 2:
        raise EvidenceError(
            f"The anchor {asked!r} of quality holds {n} pictures out of the reference set, which"
            f" has {len(reference)}: take more reference pictures (quality.reference_images), use"
            f" fewer prompts (quality.n), or state the {distance.upper()}."
        )

    def compute() -> float:
        order = np.random.default_rng(_SEED).permutation(len(reference))
        held, rest = ([reference[row] for row in rows] for rows in (order[:n], order[n:]))
        real = embedding.embed(store, encoder, rest)
        if asked == "reference":
            return distances.between(distance, real, embedding.embed(store, encoder, held))
        blurred = Decoded([partial(_blurred, picture) for picture in held])
        return distances.between(distance, real, encoder.embed_images(blurred))

    key = _key(encoder, reference, n, distance, asked)
    return float(store.once("anchors", key, lambda: {distance: compute()})[distance])


def _key(
    encoder: ImageEncoder,
    reference: Sequence[KnownPicture],
    n: int,
    distance: Distance,
    asked: str,
) -> str:
    return digest.of_json(
        [
            [*embedding.whole(encoder), *distances.computed_by(distance, "numpy", "pillow")],
            [picture.digest for picture in reference],
            n,
            asked,
            _SEED,
            _COARSER,
            *([] if distance == "fid" else [distance]),
        ]
    )


def _blurred(known: KnownPicture) -> Pixels:
    """A picture reduced and enlarged again."""
    from PIL import Image

    picture = Image.fromarray(known.pixels())
    small = max(1, picture.width // _COARSER), max(1, picture.height // _COARSER)
    return np.asarray(
        picture.resize(small, Image.Resampling.BOX).resize(picture.size, Image.Resampling.BICUBIC)
    )
