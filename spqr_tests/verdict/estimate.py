"""An estimate with its interval, and the difference of two."""

from pydantic import BaseModel, ConfigDict

from spqr_tests.verdict import intervals
from spqr_tests.verdict.intervals import Interval


class Estimate(BaseModel):
    """A value with the bounds of its two-sided interval, all in one unit.

    The confidence is that of the table that it is part of.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, low: float, high: float) -> "Estimate":
        """The estimate of three numbers."""
        return cls(value=value, low=low, high=high)

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
