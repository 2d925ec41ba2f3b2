"""A jackknife: an estimate, and how it changes when each unit is left out in turn."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spqr_tests.verdict import intervals


@dataclass(frozen=True)
class Jackknife:
    """A distance of two sets of pictures with its pseudo-values (units,), whose mean it is.

    A unit is a prompt, or a group of them.
    """

    value: float
    pseudo: NDArray[np.float64]
    skewness: float | None = None
    """Of the studentised estimate times the root of the number of units; None for that of the
    pseudo-values.
    """
    least: float = -np.inf
    """The least value that the distance can have."""

    @property
    def error(self) -> float:
        """The standard error."""
        return float(self.pseudo.std(ddof=1) / np.sqrt(len(self.pseudo)))

    def draws(self, size: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draws (size,) of what the distance is on average for as many pictures."""
        if self.skewness is None:
            drawn = intervals.mean_draws(self.pseudo, size, rng)
        else:
            units = len(self.pseudo)
            standard = rng.standard_t(units - 1, size=size) / np.sqrt(units)
            skewed = intervals.without_skewness(standard, self.skewness, units)
            drawn = self.value - self.pseudo.std(ddof=1) * skewed
        return np.maximum(drawn, self.least)
