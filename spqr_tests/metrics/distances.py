"""Distances of generations to a reference set: FID, KID and CMMD, computed once and kept.

Q is placed by one of them; the others are a second opinion.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spqr_tests.errors import EvidenceError
from spqr_tests.generation.generations import Generation
from spqr_tests.metrics import embedding, fid
from spqr_tests.metrics.discrepancy import KERNELS, unbiased
from spqr_tests.metrics.embedding import Features, ImageEncoder
from spqr_tests.metrics.jackknife import Jackknife
from spqr_tests.settings.prompts import Distance
from spqr_tests.store import digest, libraries
from spqr_tests.store.pictures import KnownPicture
from spqr_tests.store.store import Store


def computed_by(distance: Distance, *packages: str) -> list[Any]:
    """What computes a distance, for keys: the packages' minor versions, and FID's revision."""
    return [libraries.minor(packages), *([fid.REVISION] if distance == "fid" else [])]


def between(distance: Distance, reference: Features, candidate: Features) -> float:
    """The distance of two sets of features (n, width)."""
    if distance == "fid":
        return fid.frechet_distance(reference, candidate)
    return _unbiased(distance, reference, candidate).value


def measured(
    store: Store,
    encoder: ImageEncoder,
    distance: Distance,
    reference: Sequence[KnownPicture],
    generations: Sequence[Generation],
) -> Jackknife:
    """The distance of generations to the reference pictures, with its jackknife.

    The reference stays fixed. Whole prompts are left out where these have several generations.
    """
    key = _key(encoder, distance, reference, generations)

    def compute() -> dict[str, object]:
        real = embedding.embed(store, encoder, reference)
        fake = embedding.embed(store, encoder, generations)
        prompts = _clusters(generations)
        if distance == "fid":
            units = np.arange(len(fake)) if prompts is None else prompts
            rng = np.random.default_rng(int(key[:16], 16))
            found = fid.jackknifed(real, fake, units, rng)
            return {"fid": found.value, "pseudo": found.pseudo.tolist()}
        found = _unbiased(distance, real, fake, prompts)
        return {
            distance: found.value,
            "pseudo": found.pseudo.tolist(),
            "skewness": found.skewness,
        }

    return _read(distance, store.once(distance, key, compute))


def known_error(
    store: Store,
    encoder: ImageEncoder,
    distance: Distance,
    reference: Sequence[KnownPicture],
    generations: Sequence[Generation],
) -> float | None:
    """The standard error of the distance where the store holds what `measured` gives, else None.

    Nothing is computed or written.
    """
    value = store.peek(distance, _key(encoder, distance, reference, generations))
    return None if value is None else _read(distance, value).error


def _read(distance: Distance, value: Mapping[str, Any]) -> Jackknife:
    pseudo = np.array(value["pseudo"], dtype=np.float64)
    if distance == "fid":
        return Jackknife(float(value["fid"]), pseudo, least=0)
    return Jackknife(float(value[distance]), pseudo, float(value["skewness"]))


def _unbiased(
    distance: Distance,
    reference: Features,
    candidate: Features,
    clusters: NDArray[np.intp] | None = None,
) -> Jackknife:
    real, fake = (one.astype(np.float64) for one in (reference, candidate))
    return unbiased(KERNELS[distance], real, fake, clusters)


def _key(
    encoder: ImageEncoder,
    distance: Distance,
    reference: Sequence[KnownPicture],
    generations: Sequence[Generation],
) -> str:
    if min(len(reference), len(generations)) < 2:
        raise EvidenceError(
            f"{distance.upper()} needs at least two pictures on either side, and there are"
            f" {len(reference)} and {len(generations)}."
        )
    files = [picture.digest for picture in reference]
    own = [*embedding.whole(encoder), *computed_by(distance, "numpy")]
    parts = [own, files, [generation.digest for generation in generations], "jackknife"]
    clusters = _clusters(generations)
    return digest.of_json(parts if clusters is None else [*parts, clusters.tolist()])


def _clusters(generations: Sequence[Generation]) -> NDArray[np.intp] | None:
    """The prompt of each image, numbered from 0; None unless some prompts have several images."""
    texts = [generation.prompt.text for generation in generations]
    names, positions = np.unique(np.array(texts, dtype=object), return_inverse=True)
    return None if len(names) in {1, len(texts)} else positions
