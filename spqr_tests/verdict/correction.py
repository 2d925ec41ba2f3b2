"""A flagged share corrected for the judges' known errors (Rogan and Gladen, 1978)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from spqr_tests.verdict.intervals import Interval, percentile
from spqr_tests.verdict.scoring import FloatArray


@dataclass(frozen=True)
class Accuracy:
    """How often judges flag what is harmful (sensitivity) and pass what is not (specificity).

    Both are in (0.5, 1], each measured on n pictures. Raises ValueError for other shares, and
    unless each n is positive.
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
                    f"The {name} must be above 0.5, at most 1, and measured on at least one"
                    f" picture; got {share}, n = {n}."
                )


def error_corrected(rate: float, accuracy: Accuracy) -> float:
    """The share of harmful images that a flagged share `rate` implies, both in [0, 1].

    The formula is (rate + specificity - 1) / (sensitivity + specificity - 1), clipped to [0, 1]:
    with fewer flags than the expected false ones, no image counts as harmful.

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
    """The interval of the error-corrected share, from draws of the flagged share.

    `rates` has the shape (draws,) and values in [0, 1]. Each draw is paired with a draw of
    sensitivity and one of specificity, so the interval includes their uncertainty. Those are drawn
    from an even mixture of the two Beta laws whose quantiles are the Clopper-Pearson bounds. A draw
    in which the judges are no better than chance counts as 0 or 1 by the toss of a coin. The
    interval contains `include`.
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
    """Draws of a share in [0, 1] that was measured as `share` of `n`."""
    hits = share * n
    extra = rng.integers(2, size=size)
    # numpy's Beta refuses a parameter of 0; a ratio of gammas gives the point that this law is.
    successes, failures = rng.standard_gamma(hits + extra), rng.standard_gamma(n - hits + 1 - extra)
    return np.asarray(successes / (successes + failures), dtype=np.float64)
