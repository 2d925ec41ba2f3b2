"""The table `robustness.curve` of a thresholds file: a drift that no step may exceed."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, StringConstraints

EXPECTED = {
    "drift_stays_below": "a drift, between -100 and 100 (percentage points)",
    "until": "a number of training steps, a whole number of at least 1",
}
"""What the keys must be, for a sentence."""


class CurveTable(BaseModel):
    """The drift at every kept step up to `until` is at most `drift_stays_below`, in points."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    drift_stays_below: Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]
    """The drift, in percentage points, that no kept step may exceed."""
    until: Annotated[PositiveInt, Field(le=10_000_000)]
    """The last step that is looked at; it must be one of the curve."""
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    """Why the bound has this value."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """The confidence of the band over all steps."""
    tolerance: Annotated[float, Field(ge=0, lt=1)] = 0.02
    """The largest loss since an earlier version that does not count, in the unit of R."""
    severity: Literal["fail", "warn"] = "fail"
    """What a miss leads to: "fail", or "warn", which never decides the release."""
