"""Quality: the distance between the features of generations and of a fixed reference set."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spqr_tests.evidence import digest, embedding
from spqr_tests.evidence.discrepancy import KERNELS, unbiased
from spqr_tests.evidence.embedding import Features, ImageEncoder
from spqr_tests.evidence.errors import EvidenceError
from spqr_tests.evidence.frechet import Frechet
from spqr_tests.evidence.generations import Generation
from spqr_tests.evidence.store import Store


def frechet_distance(reference: Features, candidate: Features) -> float:
    """FID (Heusel et al. 2017) of two feature sets (n, width), by torchmetrics in double precision."""
    import torch
    from torchmetrics.image.fid import FrechetInceptionDistance

    features = torch.nn.Identity()
    features.num_features = reference.shape[1]
    metric = FrechetInceptionDistance(feature=features).set_dtype(torch.float64)
    for rows, real in ((reference, True), (candidate, False)):
        metric.update(torch.from_numpy(rows.astype(np.float64)), real=real)
    # Rounding leaves the distance of a set to itself a hair to either side of 0.
    return max(0.0, float(metric.compute()))


def fid(
    store: Store, encoder: ImageEncoder, reference: Sequence[Path], generations: Sequence[Generation], draws: int
) -> tuple[float, NDArray[np.float64]]:
    """FID against the reference pictures, and `draws` bootstrap values of it (generations resampled, reference fixed).

    A bootstrap FID is biased upwards, since resampled sets repeat images: centre the draws before use.
    """
    key = _key(encoder, reference, generations, draws)

    def compute() -> dict[str, object]:
        real = embedding.of_pictures(store, encoder, reference)
        fake = embedding.of_generations(store, encoder, generations)
        resampled = Frechet(real).resampled(fake, draws, _rng(key))
        return {"fid": frechet_distance(real, fake), "draws": resampled.tolist()}

    value = store.once("fid", key, compute)
    return float(value["fid"]), np.array(value["draws"])


def second_opinion(
    store: Store, encoder: ImageEncoder, reference: Sequence[Path], generations: Sequence[Generation], draws: int
) -> tuple[float, NDArray[np.float64]]:
    """KID or CMMD, as the encoder's features ask, and `draws` Bayesian bootstrap values (generations weighed, reference fixed).

    Unlike FID, its expectation does not depend on the number of pictures.
    """
    key = _key(encoder, reference, generations, draws)

    def compute() -> dict[str, object]:
        real = embedding.of_pictures(store, encoder, reference).astype(np.float64)
        fake = embedding.of_generations(store, encoder, generations).astype(np.float64)
        value, resampled = unbiased(KERNELS[encoder.discrepancy], real, fake, draws, _rng(key))
        return {"value": value, "draws": resampled.tolist()}

    value = store.once(encoder.discrepancy, key, compute)
    return float(value["value"]), np.array(value["draws"])


def _key(encoder: ImageEncoder, reference: Sequence[Path], generations: Sequence[Generation], draws: int) -> str:
    if min(len(reference), len(generations)) < 2:
        raise EvidenceError(
            f"FID needs at least two pictures on either side, and there are {len(reference)} and {len(generations)}."
        )
    files = [digest.of_file(path) for path in reference]
    return digest.of_json([encoder.fingerprint, files, [generation.digest for generation in generations], draws])


def _rng(key: str) -> np.random.Generator:
    return np.random.default_rng(int(key[:16], 16))
