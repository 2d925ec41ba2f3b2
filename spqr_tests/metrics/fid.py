"""Quality: the distance between the features of generations and of a fixed reference set."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spqr_tests.errors import EvidenceError
from spqr_tests.generation.generations import Generation
from spqr_tests.metrics import embedding
from spqr_tests.metrics.discrepancy import KERNELS, unbiased
from spqr_tests.metrics.embedding import Features, ImageEncoder
from spqr_tests.metrics.frechet import Frechet
from spqr_tests.store import digest, libraries
from spqr_tests.store.computing import computing
from spqr_tests.store.pictures import KnownPicture
from spqr_tests.store.store import Store

GROUPS = 100
"""Each costs an eigenvalue problem, and a standard error from a hundred is known to 7 %."""


def frechet_distance(reference: Features, candidate: Features) -> float:
    """FID (Heusel et al. 2017) of two feature sets (n, width), by torchmetrics in float64."""
    import torch
    from torchmetrics.image.fid import FrechetInceptionDistance

    features = torch.nn.Identity()
    features.num_features = reference.shape[1]
    with computing("cpu"):
        metric = FrechetInceptionDistance(feature=features).set_dtype(torch.float64)
        for rows, real in ((reference, True), (candidate, False)):
            metric.update(torch.from_numpy(rows.astype(np.float64)), real=real)
        # Rounding leaves the distance of a set to itself a hair to either side of 0.
        return max(0.0, float(metric.compute()))


def fid(
    store: Store,
    encoder: ImageEncoder,
    reference: Sequence[KnownPicture],
    generations: Sequence[Generation],
) -> tuple[float, NDArray[np.float64]]:
    """FID against the reference pictures, and the pseudo-values (groups,) whose mean it is.

    The reference stays fixed.

    Those of a jackknife that leaves out one of at most `GROUPS` groups at a time, of whole prompts
    where these have several generations. Their standard error is FID's, and an interval of their
    mean one of what FID is on average for as many generations. A bootstrap would be three times as
    wide where there are fewer generations than features: resampled sets repeat images.
    """
    key = _pseudo_key(encoder, reference, generations)

    def compute() -> dict[str, object]:
        real = embedding.embed(store, encoder, reference)
        fake = embedding.embed(store, encoder, generations)
        left = Frechet(real).without(fake, _groups(generations, _rng(key)))
        distance = frechet_distance(real, fake)
        return {
            "fid": distance,
            "pseudo": (distance + (len(left) - 1) * (left.mean() - left)).tolist(),
        }

    value = store.once("fid", key, compute)
    return float(value["fid"]), np.array(value["pseudo"])


def known_fid_error(
    store: Store,
    encoder: ImageEncoder,
    reference: Sequence[KnownPicture],
    generations: Sequence[Generation],
) -> float | None:
    """The standard error of FID where the store holds what `fid` gives, else None.

    Nothing is computed or written.
    """
    value = store.peek("fid", _pseudo_key(encoder, reference, generations))
    return (
        None
        if value is None
        else float(np.std(value["pseudo"], ddof=1) / np.sqrt(len(value["pseudo"])))
    )


def second_opinion(
    store: Store,
    encoder: ImageEncoder,
    reference: Sequence[KnownPicture],
    generations: Sequence[Generation],
    draws: int,
) -> tuple[float, NDArray[np.float64]]:
    """KID or CMMD, as the encoder's features ask, and `draws` Bayesian bootstrap values.

    Images are weighed, the reference stays fixed.

    Unlike FID, its expectation does not depend on the number of pictures.
    """
    key = _key(encoder, reference, generations, draws)

    def compute() -> dict[str, object]:
        real = embedding.embed(store, encoder, reference).astype(np.float64)
        fake = embedding.embed(store, encoder, generations).astype(np.float64)
        value, resampled = unbiased(
            KERNELS[encoder.discrepancy], real, fake, draws, _rng(key), _clusters(generations)
        )
        return {"value": value, "draws": resampled.tolist()}

    value = store.once(encoder.discrepancy, key, compute)
    return float(value["value"]), np.array(value["draws"])


def _pseudo_key(
    encoder: ImageEncoder, reference: Sequence[KnownPicture], generations: Sequence[Generation]
) -> str:
    return _key(encoder, reference, generations, "jackknife")


def _key(
    encoder: ImageEncoder,
    reference: Sequence[KnownPicture],
    generations: Sequence[Generation],
    draws: int | Literal["jackknife"],
) -> str:
    if min(len(reference), len(generations)) < 2:
        raise EvidenceError(
            f"FID needs at least two pictures on either side, and there are {len(reference)} and"
            f" {len(generations)}."
        )
    files = [picture.digest for picture in reference]
    own = [*embedding.whole(encoder), libraries.minor(("torchmetrics", "numpy"))]
    parts = [own, files, [generation.digest for generation in generations], draws]
    clusters = _clusters(generations)
    return digest.of_json(parts if clusters is None else [*parts, clusters.tolist()])


def _clusters(generations: Sequence[Generation]) -> NDArray[np.intp] | None:
    """The prompt of each image, numbered from 0; None unless some prompts have several images."""
    texts = [generation.prompt.text for generation in generations]
    names, positions = np.unique(np.array(texts, dtype=object), return_inverse=True)
    return None if len(names) in {1, len(texts)} else positions


def _groups(generations: Sequence[Generation], rng: np.random.Generator) -> NDArray[np.intp]:
    """The group of each image, numbered from 0.

    A group is one prompt or, where there are many, a few that are drawn at random.
    """
    prompts = _clusters(generations)
    unit = np.arange(len(generations)) if prompts is None else prompts
    units = int(unit.max()) + 1
    return np.asarray(rng.permutation(units)[unit] % GROUPS)


def _rng(key: str) -> np.random.Generator:
    return np.random.default_rng(int(key[:16], 16))
