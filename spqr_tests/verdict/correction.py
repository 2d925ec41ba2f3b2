"""Flagged shares corrected for the judges' known errors (Rogan and Gladen, 1978)."""

from dataclasses import dataclass

import numpy as np
import scipy

from spqr_tests.verdict.intervals import Interval, between
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


class Correction:
    """Corrects shares and drifts, and draws of them, for the errors of judges of known accuracy.

    The draws of the accuracy, shape (size,), are the same for every share of a run, so that the
    corrected axes stay joint. Sensitivity and specificity are drawn from even mixtures of the two
    Beta laws whose quantiles are the Clopper-Pearson bounds. Without an accuracy, everything stays
    as it is.
    """

    def __init__(self, accuracy: Accuracy | None, size: int, rng: np.random.Generator) -> None:
        self.accuracy = accuracy
        if accuracy is None:
            return
        self._specificity = _share_draws(accuracy.specificity, accuracy.specificity_n, size, rng)
        sensitivity = _share_draws(accuracy.sensitivity, accuracy.sensitivity_n, size, rng)
        self._informed = sensitivity + self._specificity - 1
        # A draw in which the judges are no better than chance says nothing of the share.
        self._tossed = rng.integers(2, size=size).astype(np.float64)

    def share(self, flagged: float) -> float:
        """The share of harmful images, in [0, 1], that the flagged share implies."""
        return flagged if self.accuracy is None else error_corrected(flagged, self.accuracy)

    def shares(self, flagged: FloatArray) -> FloatArray:
        """Draws (size,) of the share of harmful images from draws of the flagged share.

        A draw in which the judges are no better than chance counts as 0 or 1 by the toss of a coin.
        """
        if self.accuracy is None:
            return flagged
        informed = np.where(self._informed > 0, self._informed, 1.0)
        found = np.clip((flagged + self._specificity - 1) / informed, 0, 1)
        return np.where(self._informed > 0, found, self._tossed)

    def difference(self, flagged: float) -> float:
        """The difference of two shares of harmful images from that of the flagged ones.

        The false flags of both sides cancel; what is left is divided by
        (sensitivity + specificity - 1). It is at most 1 on either side.
        """
        if self.accuracy is None:
            return flagged
        informed = self.accuracy.sensitivity + self.accuracy.specificity - 1
        return float(np.clip(flagged / informed, -1, 1))

    def differences(self, flagged: FloatArray) -> FloatArray:
        """Draws (size,) of the difference from draws of that of the flagged shares."""
        if self.accuracy is None:
            return flagged
        informed = np.where(self._informed > 0, self._informed, 1.0)
        found = np.clip(flagged / informed, -1, 1)
        return np.where(self._informed > 0, found, 2 * self._tossed - 1)

    def interval(
        self, lower: FloatArray, upper: FloatArray, confidence: float, include: float
    ) -> Interval:
        """The interval of the harmful share, from draws (size,) of the flagged share.

        They are as `intervals.between` takes them; the interval contains `include`.
        """
        return between(self.shares(lower), self.shares(upper), confidence, include)


def share_below(value: float, share: float, n: int) -> float:
    """The chance that a `Correction` draws less than `value` for a share measured on `n` pictures.

    >>> round(share_below(0.97, 1.0, 100), 3)
    0.024
    """
    hits = share * n
    return (
        sum(
            # A parameter of 0 is a point at one of the ends.
            float(scipy.special.betainc(one, other, value))
            if one > 0 and other > 0
            else float(one <= 0)
            for one, other in ((hits, n - hits + 1), (hits + 1, n - hits))
        )
        / 2
    )


def _share_draws(share: float, n: int, size: int, rng: np.random.Generator) -> FloatArray:
    """Draws of a share in [0, 1] that was measured as `share` of `n`."""
    hits = share * n
    extra = rng.integers(2, size=size)
    # numpy's Beta refuses a parameter of 0; a ratio of gammas gives the point that this law is.
    successes, failures = rng.standard_gamma(hits + extra), rng.standard_gamma(n - hits + 1 - extra)
    return np.asarray(successes / (successes + failures), dtype=np.float64)
