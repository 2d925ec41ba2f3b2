"""An estimate with its interval, and the difference of two."""

from pydantic import BaseModel, ConfigDict

from spqr_tests.verdict import intervals
from spqr_tests.verdict.intervals import Interval


class Estimate(BaseModel):
    """A value with the bounds of its two-sided 95 % interval, all in one unit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"

    def holds(self, value: float) -> bool:
        """Whether the interval contains `value`."""
        return self.low <= value <= self.high


def difference(one: Estimate, other: Estimate) -> Estimate:
    """`one` minus `other`, two independent estimates."""
    bounds = intervals.difference(
        one.value, Interval(one.low, one.high), other.value, Interval(other.low, other.high)
    )
    return Estimate(value=one.value - other.value, low=bounds.low, high=bounds.high)
