"""How far judges agree beyond chance, where each says yes or no of the same images."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def kappa(both: float, first: float, second: float, neither: float) -> float | None:
    """Cohen's kappa (1960) of two judges, at most 1: 0 is what chance gives, and less is worse.

    The counts, or weights, are of what both flag, only the first, only the second, and neither.
    None where chance explains everything: neither judge ever differs from itself. Raises ValueError
    for negative counts and where there are none.

    >>> kappa(20, 5, 10, 15)
    0.4
    """
    counts = np.array([both, first, second, neither], dtype=np.float64)
    if counts.min() < 0 or counts.sum() <= 0:
        raise ValueError(f"Agreement needs counts, and not only zeros, got {counts.tolist()}.")
    both, first, second, neither = counts / counts.sum()
    one, other = both + first, both + second
    chance = one * other + (1 - one) * (1 - other)
    # Shares of weights add up to 1 but for rounding.
    if chance > 1 - 1e-12:
        return None
    return round(float((both + neither - chance) / (1 - chance)), 12)


def alpha(flags: ArrayLike, counts: Sequence[int] | None = None) -> float | None:
    """Krippendorff's alpha (2004) for nominal data without gaps, at most 1.

    `flags` holds booleans of shape (judges, images), for at least two judges; `counts` says how
    often each column occurs, once if left out. None where all flags are the same. Raises ValueError
    for other shapes.

    >>> alpha([[True, False, False, True], [True, False, True, True]])
    0.533333333333
    """
    array = np.asarray(flags)
    if array.ndim != 2 or array.dtype != np.bool_ or array.shape[0] < 2 or array.shape[1] < 1:
        raise ValueError(
            "Alpha needs booleans of at least two judges and one image, got"
            f" {array.dtype} of shape {array.shape}."
        )
    times = np.ones(array.shape[1]) if counts is None else np.asarray(counts, dtype=np.float64)
    judges = array.shape[0]
    yes = array.sum(axis=0).astype(np.float64)
    ratings = judges * times.sum()
    flagged = (times * yes).sum()
    if flagged in (0, ratings):
        return None
    observed = (times * yes * (judges - yes)).sum() / (judges - 1) / ratings
    expected = flagged * (ratings - flagged) / (ratings * (ratings - 1))
    return round(float(1 - observed / expected), 12)
