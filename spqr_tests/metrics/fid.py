"""FID: the Frechet distance of the features of two sets of pictures (Heusel et al. 2017)."""

import numpy as np
from numpy.typing import NDArray

from spqr_tests.metrics.embedding import Features
from spqr_tests.metrics.frechet import Frechet
from spqr_tests.metrics.jackknife import Jackknife

REVISION = 2
"""Part of every FID's key; raise it when a change here changes a digit."""
GROUPS = 100
"""Each costs an eigenvalue problem, and a standard error from a hundred is known to 7 %."""


def frechet_distance(reference: Features, candidate: Features) -> float:
    """FID (Heusel et al. 2017) of two feature sets (n, width), in float64.

    It is torchmetrics' to about six digits, in a small part of the time where there are fewer
    pictures than features.
    """
    return Frechet(reference).distance(candidate)


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
    frechet = Frechet(reference)
    left, distance = frechet.without(candidate, groups), frechet.distance(candidate)
    return Jackknife(distance, distance + (len(left) - 1) * (left.mean() - left), least=0)
