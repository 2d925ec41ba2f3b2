"""Maximum mean discrepancy: a distance of two sets whose expectation does not depend on n."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Kernel = Callable[[Matrix, Matrix], Matrix]
"""Similarities (n, m) of features (n, width) and (m, width)."""

# Rows of a kernel matrix at a time: 30,000 pictures squared would be 7 GB.
_ROWS = 1024


def kid(one: Matrix, other: Matrix) -> Matrix:
    """The cubic kernel of the Kernel Inception Distance (Binkowski et al. 2018)."""
    return np.asarray((one @ other.T / one.shape[1] + 1) ** 3)


def cmmd(one: Matrix, other: Matrix) -> Matrix:
    """The Gaussian kernel of CMMD (Jayasumana et al. 2024), times its customary 1,000.

    Sigma is 10, on features of length 1.
    """
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2 * one @ other.T
    return np.asarray(1000 * np.exp(-squares / (2 * 10**2)))


KERNELS: dict[str, Kernel] = {"kid": kid, "cmmd": cmmd}
"""By the name of the distance."""


def unbiased(
    kernel: Kernel,
    reference: Matrix,
    candidate: Matrix,
    draws: int,
    rng: np.random.Generator,
    clusters: NDArray[np.intp] | None = None,
) -> tuple[float, NDArray[np.float64]]:
    """The unbiased estimate over whole sets, and `draws` Bayesian bootstrap values of it.

    Sets are (n, width), n at least 2.

    The draws weigh the candidate's rows and leave the reference as it is; pairs of a row with
    itself never count, so that they scatter around the estimate. `clusters` (n,) numbers what each
    row of the candidate belongs to, from 0, where that is weighed instead. An estimate may be
    below 0, when the sets are as good as equal.
    """
    units = len(candidate) if clusters is None else int(clusters.max()) + 1
    drawn = rng.standard_exponential((draws, units))
    # The first row of weights is the estimate itself.
    weights = np.vstack(
        [np.ones(len(candidate)), drawn if clusters is None else drawn[:, clusters]]
    )
    weights /= weights.sum(axis=1, keepdims=True)
    within = np.zeros(len(weights))
    across = np.zeros(len(candidate))
    for rows in _blocks(len(candidate)):
        similar = kernel(candidate[rows], candidate)
        similar[np.arange(len(similar)), np.arange(rows.start, rows.start + len(similar))] = 0
        within += ((weights[:, rows] @ similar) * weights).sum(axis=1)
    constant = 0.0
    for rows in _blocks(len(reference)):
        across += kernel(reference[rows], candidate).sum(axis=0) / len(reference)
        similar = kernel(reference[rows], reference)
        similar[np.arange(len(similar)), np.arange(rows.start, rows.start + len(similar))] = 0
        constant += float(similar.sum()) / (len(reference) * (len(reference) - 1))
    values = constant + within / (1 - (weights**2).sum(axis=1)) - 2 * weights @ across
    return float(values[0]), values[1:]


def _blocks(n: int) -> list[slice]:
    return [slice(start, min(start + _ROWS, n)) for start in range(0, n, _ROWS)]
