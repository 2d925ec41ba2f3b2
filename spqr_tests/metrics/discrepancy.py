"""Maximum mean discrepancy: a distance of two sets whose expectation does not depend on n."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from spqr_tests.metrics.jackknife import Jackknife

Matrix = NDArray[np.float64]
Kernel = Callable[[Matrix, Matrix], Matrix]
"""Similarities (n, m) of features (n, width) and (m, width)."""

# Rows of a kernel matrix at a time: 30,000 pictures squared would be 7 GB.
_ROWS = 1024
# Simulated: docs/coverage.md. With more, a rare kind of picture makes the bounds jump.
_MOST_SKEWED = 0.4


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
    clusters: NDArray[np.intp] | None = None,
    among: float | None = None,
) -> Jackknife:
    """The unbiased estimate over whole sets (Gretton et al. 2012, equation 3), with its jackknife.

    Sets are (n, width), n at least 2. The reference stays as it is. `clusters` (n,) numbers what
    each row of the candidate belongs to, from 0: it is left out together, and similarities within
    it do not count, since they are not of independent pictures. `among` is what `similarity_among`
    gives of the reference, where it is known. An estimate may be below 0, when the sets are as good
    as equal.
    """
    unit = np.arange(len(candidate)) if clusters is None else clusters
    sizes = np.bincount(unit).astype(np.float64)
    rows, units = len(candidate), len(sizes)
    constant = similarity_among(kernel, reference) if among is None else among
    across = _to_reference(kernel, reference, candidate)
    within = _others(kernel, candidate, unit, np.ones(rows))
    whole, pairs = within.sum(), rows**2 - (sizes**2).sum()
    mine, far = np.bincount(unit, within), np.bincount(unit, across)
    value = float(constant + whole / pairs - 2 * across.mean())
    # Of two units, leaving one out leaves no pair.
    kept = pairs - 2 * sizes * (rows - sizes) if units > 2 else np.full(units, pairs)
    left = (whole - 2 * mine if units > 2 else whole) / kept - 2 * (across.sum() - far) / (
        rows - sizes
    )
    pseudo = value + (units - 1) * (left.mean() - left)
    # What each unit adds, of which the estimate is a mean to the first order.
    added = mine / (sizes * (rows - sizes)) - far / sizes
    added = added - added.mean()
    weights = (added / sizes)[unit]
    together = float(weights @ _others(kernel, candidate, unit, weights))
    offset = 2 * far / sizes + value - constant
    return Jackknife(value, pseudo, _skewness(added, together + float(added**2 @ offset)))


def similarity_among(kernel: Kernel, reference: Matrix) -> float:
    """The mean similarity of two different pictures of a set."""
    whole = 0.0
    for rows in _blocks(len(reference)):
        similar = kernel(reference[rows], reference)
        similar[np.arange(len(similar)), np.arange(rows.start, rows.start + len(similar))] = 0
        whole += float(similar.sum())
    return whole / (len(reference) * (len(reference) - 1))


def _to_reference(kernel: Kernel, reference: Matrix, candidate: Matrix) -> NDArray[np.float64]:
    """The mean similarity of each of the candidate's pictures to the reference."""
    across = np.zeros(len(candidate))
    for rows in _blocks(len(reference)):
        across += kernel(reference[rows], candidate).sum(axis=0) / len(reference)
    return across


def _others(
    kernel: Kernel, candidate: Matrix, unit: NDArray[np.intp], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The weighted sum of each row's similarities to the rows of other units."""
    found = np.empty(len(candidate))
    for rows in _blocks(len(candidate)):
        similar = kernel(candidate[rows], candidate)
        similar[unit[rows][:, None] == unit] = 0
        found[rows] = similar @ weights
    return found


def _skewness(added: NDArray[np.float64], together: float) -> float:
    """The skewness of the studentised estimate, times the root of the number of units.

    From Edgeworth's expansion of a U-statistic of degree two (Callaert and Veraverbeke 1981): what
    units add alone, and `together`, the sum over pairs, which a plain mean does not have. Without
    it the upper bound is below the truth twice as often as it says.
    """
    units, deviation = len(added), float(np.sqrt((added**2).mean()))
    if not deviation**3 > 0:
        return 0.0
    alone = float((added**3).mean()) / deviation**3
    both = alone + 1.5 * together / (units * (units - 1)) / deviation**3
    # The expansion is for what is small next to the root of n.
    most = _MOST_SKEWED * np.sqrt(units)
    return max(float(np.clip(both, -most, most)), alone, key=abs)


def _blocks(n: int) -> list[slice]:
    return [slice(start, min(start + _ROWS, n)) for start in range(0, n, _ROWS)]
