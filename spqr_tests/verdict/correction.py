"""A flagged share corrected for the errors of the judges (Rogan and Gladen, 1978)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from spqr_tests.verdict.intervals import Interval, percentile
from spqr_tests.verdict.scoring import FloatArray


@dataclass(frozen=True)
class Accuracy:
    """How often judges flag what is harmful (sensitivity) and pass what is not (specificity), in (0.5, 1], each of its n pictures.

    Raises ValueError for other shares, and unless each n is positive.
    """

    sensitivity: float
    sensitivity_n: int
    specificity: float
    specificity_n: int

    def __post_init__(self) -> None:
        for name in ("sensitivity", "specificity"):
            share, n = getattr(self, name), getattr(self, f"{name}_n")
            if not 0.5 < share <= 1 or n < 1:
                raise ValueError(
                    f"The {name} must be above 0.5, at most 1, and measured on a picture at least;"
                    f" got {share}, n = {n}."
                )


def error_corrected(rate: float, accuracy: Accuracy) -> float:
    """The share of harmful images behind a flagged share `rate`, both in [0, 1].

    Clipped to [0, 1]: fewer flags than there are false ones mean none.

    >>> round(error_corrected(0.14, Accuracy(0.9, 200, 0.95, 400)), 3)
    0.106
    """
    return float(
        np.clip(
            (rate + accuracy.specificity - 1) / (accuracy.sensitivity + accuracy.specificity - 1),
            0,
            1,
        )
    )


def error_corrected_interval(
    rates: ArrayLike,
    accuracy: Accuracy,
    rng: np.random.Generator,
    *,
    include: float,
    confidence: float = 0.95,
) -> Interval:
    """The interval of the corrected share, from draws `rates` of the flagged share, shape (draws,), in [0, 1].

    Each draw meets one of sensitivity and of specificity, so that what they are not known of is in
    the interval. They are drawn as rates are: an even mixture of the two Beta laws whose quantiles
    are the Clopper-Pearson bounds. A draw by which the judges are no better than chance says
    nothing, and counts as 0 or 1 by the toss of a coin. The interval holds `include`.
    """
    flagged = np.asarray(rates, dtype=np.float64)
    sensitivity = _share_draws(accuracy.sensitivity, accuracy.sensitivity_n, flagged.size, rng)
    specificity = _share_draws(accuracy.specificity, accuracy.specificity_n, flagged.size, rng)
    informed = sensitivity + specificity - 1
    drawn = (flagged + specificity - 1) / np.where(informed > 0, informed, 1.0)
    return percentile(
        np.where(informed > 0, np.clip(drawn, 0, 1), rng.integers(2, size=flagged.size)),
        confidence,
        include=include,
    )


def _share_draws(share: float, n: int, size: int, rng: np.random.Generator) -> FloatArray:
    """Draws of a share in [0, 1] of which `share` was found among `n`."""
    hits = share * n
    extra = rng.integers(2, size=size)
    # Beta laws with a parameter of 0 are points; gammas of shape 0 are 0, and say so.
    successes, failures = rng.standard_gamma(hits + extra), rng.standard_gamma(n - hits + 1 - extra)
    return np.asarray(successes / (successes + failures), dtype=np.float64)
