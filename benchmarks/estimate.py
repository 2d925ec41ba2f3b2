"""An estimate with its interval, and the difference of two."""

import math

from pydantic import BaseModel, ConfigDict


class Estimate(BaseModel):
    """A value with the bounds of its two-sided 95 % interval, all in one unit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"

    def holds(self, value: float) -> bool:
        """Whether the interval holds `value`."""
        return self.low <= value <= self.high


def difference(one: Estimate, other: Estimate) -> Estimate:
    """`one` minus `other`, which are independent, with an interval recovered from theirs.

    The square-and-add method (MOVER; Zou and Donner 2008, doi 10.1002/sim.3095): it needs no symmetry of the two intervals.
    """
    value = one.value - other.value
    below = math.hypot(one.value - one.low, other.high - other.value)
    above = math.hypot(one.high - one.value, other.value - other.low)
    return Estimate(value=value, low=value - below, high=value + above)
