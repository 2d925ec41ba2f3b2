"""FID: the Frechet distance of the features of two sets of pictures (Heusel et al. 2017)."""

import numpy as np
from numpy.typing import NDArray

from spqr_tests.metrics.embedding import Features
from spqr_tests.metrics.frechet import Frechet
from spqr_tests.metrics.jackknife import Jackknife
from spqr_tests.store.computing import computing

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


def jackknifed(
    reference: Features, candidate: Features, units: NDArray[np.intp], rng: np.random.Generator
) -> Jackknife:
    """FID with a jackknife that leaves out one of at most `GROUPS` groups of units at a time.

    `units` (n,) numbers the unit of each of the candidate's rows, from 0. The standard error of the
    pseudo-values is FID's, and an interval of their mean one of what FID is on average for as many
    generations. A bootstrap would be three times as wide where there are fewer generations than
    features: resampled sets repeat images.
    """
    groups = rng.permutation(int(units.max()) + 1)[units] % GROUPS
    left = Frechet(reference).without(candidate, groups)
    distance = frechet_distance(reference, candidate)
    return Jackknife(distance, distance + (len(left) - 1) * (left.mean() - left), least=0)
