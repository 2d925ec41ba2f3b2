"""Quality: the Frechet distance between the features of generations and of a fixed reference set."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spqr_tests.evidence import digest, embedding
from spqr_tests.evidence.dual_encoder import DualEncoder, Embeddings
from spqr_tests.evidence.errors import EvidenceError
from spqr_tests.evidence.generations import Generation
from spqr_tests.evidence.store import Store

if TYPE_CHECKING:
    from torchmetrics.image.fid import FrechetInceptionDistance


def frechet_distance(reference: Embeddings, candidate: Embeddings) -> float:
    """FID (Heusel et al. 2017) of two feature sets (n, width), by torchmetrics in double precision."""
    metric = _metric(reference)
    _update(metric, candidate, real=False)
    return float(metric.compute())


def fid(
    store: Store, encoder: DualEncoder, reference: Sequence[Path], generations: Sequence[Generation], draws: int
) -> tuple[float, NDArray[np.float64]]:
    """FID against the reference pictures, and `draws` bootstrap values of it (generations resampled, reference fixed).

    A bootstrap FID is biased upwards, since resampled sets repeat images: centre the draws before use.
    """
    if min(len(reference), len(generations)) < 2:
        raise EvidenceError(
            f"FID needs at least two pictures on either side, and there are {len(reference)} and {len(generations)}."
        )
    files = [digest.of_file(path) for path in reference]
    key = digest.of_json([encoder.fingerprint, files, [generation.digest for generation in generations], draws])

    def compute() -> dict[str, object]:
        real = embedding.of_pictures(store, encoder, reference)
        fake = embedding.of_generations(store, encoder, generations)
        rng = np.random.default_rng(int(key[:16], 16))
        metric = _metric(real)
        values = []
        for rows in (np.arange(len(fake)), *(rng.integers(0, len(fake), len(fake)) for _ in range(draws))):
            _update(metric, fake[rows], real=False)
            values.append(float(metric.compute()))
            metric.reset()
        return {"fid": values[0], "draws": values[1:]}

    value = store.once("fid", key, compute)
    return float(value["fid"]), np.array(value["draws"])


def _metric(reference: Embeddings) -> "FrechetInceptionDistance":
    """torchmetrics' FID over features that were computed before; the reference stays when it is reset."""
    import torch
    from torchmetrics.image.fid import FrechetInceptionDistance

    features = torch.nn.Identity()
    features.num_features = reference.shape[1]
    metric = FrechetInceptionDistance(feature=features, reset_real_features=False).set_dtype(torch.float64)
    _update(metric, reference, real=True)
    return metric


def _update(metric: "FrechetInceptionDistance", features: Embeddings, *, real: bool) -> None:
    import torch

    metric.update(torch.from_numpy(features.astype(np.float64)), real=real)
