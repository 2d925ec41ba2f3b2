"""Prompt adherence: CLIP scores, the cosine between an image and its prompt."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spqr_tests.generation.generations import Generation
from spqr_tests.metrics import embedding
from spqr_tests.metrics.dual_encoder import DualEncoder
from spqr_tests.store import digest
from spqr_tests.store.store import Store


def clip_scores(
    store: Store, encoder: DualEncoder, generations: Sequence[Generation]
) -> NDArray[np.float64]:
    """Cosines in [-1, 1], shape (n,), one an image.

    Of Hessel et al. 2021, without the factor 2.5 and the floor at 0.

    The benchmark's ceiling is a plain cosine too, so that P = mean / ceiling.
    """

    def compute() -> list[float]:
        images = embedding.embed(store, encoder, generations)
        texts = encoder.embed_texts([g.prompt.text for g in generations])
        return [float(score) for score in (images.astype(np.float64) * texts).sum(axis=1)]

    return np.array(store.once("clip-scores", _key(encoder, generations), compute))


def known_scores(
    store: Store, encoder: DualEncoder, generations: Sequence[Generation]
) -> NDArray[np.float64] | None:
    """The scores of `clip_scores` where the store holds them, else None.

    Nothing is computed or written.
    """
    found = store.peek("clip-scores", _key(encoder, generations))
    return None if found is None else np.array(found)


def _key(encoder: DualEncoder, generations: Sequence[Generation]) -> str:
    return digest.of_json(
        [embedding.whole(encoder), [[g.prompt.text, g.digest] for g in generations]]
    )
