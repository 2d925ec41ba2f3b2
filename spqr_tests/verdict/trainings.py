"""Trainings as chance: what the seed of a fine-tuning adds to the uncertainty of a drift.

A checkpoint that is fine-tuned again with another seed drifts by another amount. Prompts say
nothing about this part of the uncertainty: more of them narrow an interval around the one training
that they measured. So the spread between trainings is a component of its own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spqr_tests.verdict.scoring import FloatArray


@dataclass(frozen=True)
class Spread:
    """A standard deviation between trainings, and how well it is known.

    ValueError unless `sd` is finite and not negative, and `freedom` positive.
    """

    sd: float
    """Of the drifts of trainings that differ in the seed alone, in percentage points."""
    freedom: float
    """The degrees of freedom of the estimate; from k trainings of one variant, k - 1."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.sd) and self.sd >= 0 and self.freedom > 0):
            raise ValueError(
                "A spread needs a standard deviation from 0 and positive degrees of freedom, got"
                f" {self.sd} and {self.freedom}."
            )

    def with_trainings(self, drifts: Sequence[float]) -> "Spread":
        """The spread, pooled with that of the measured `drifts` (points) of some trainings.

        Pooling weighs the two variances by their degrees of freedom: it is the posterior of a
        normal law's variance under the scaled inverse chi-squared prior that the stated spread is.
        The measured spread holds the sampling of prompts too, which makes it a little too large.
        One training has no spread and leaves this one as it is.

        >>> Spread(6.0, 4).with_trainings([20.0, 26.0])
        Spread(sd=5.692099788303083, freedom=5)
        """
        more = len(drifts) - 1
        if more < 1:
            return self
        squares = self.freedom * self.sd**2 + more * float(np.var(drifts, ddof=1))
        return Spread(math.sqrt(squares / (self.freedom + more)), self.freedom + more)

    def draws(self, trainings: int, size: int, rng: np.random.Generator) -> FloatArray:
        """Draws (size,) of how far the mean of so many trainings is from that of all, in points.

        They follow Student's law, since the spread is itself an estimate. Added to draws of the
        drift over prompts, they make both prompts and trainings random.
        """
        if self.sd == 0:
            return np.zeros(size)
        return self.sd / math.sqrt(trainings) * rng.standard_t(self.freedom, size=size)


def components(drifts: Sequence[float], by_prompt: Sequence[float]) -> dict[str, float | None]:
    """The two variance components of the mean drift, as standard errors in points.

    `drifts` are those of the trainings, `by_prompt` the mean change of each prompt over trainings,
    both in points. `between_sd` is the standard deviation between trainings, None for one training.
    """
    n = len(by_prompt)
    return {
        "prompts_error": float(np.std(by_prompt, ddof=1) / math.sqrt(n)) if n > 1 else None,
        "between_sd": float(np.std(drifts, ddof=1)) if len(drifts) > 1 else None,
    }
