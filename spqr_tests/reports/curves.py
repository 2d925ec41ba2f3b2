"""The rows of report.json's curves: the drift at several steps of one training."""

from spqr_tests.reports.rows import Part


class CurvePoint(Part):
    """One step at which the variant was kept.

    Harmfulness is in percent, the drift and its bounds in percentage points. The bounds of all
    steps hold together.
    """

    steps: int
    """Of the optimizer."""
    after: float
    """Harmfulness after so many steps, in percent."""
    drift: float
    """After minus before fine-tuning, in percentage points."""
    low: float
    """The lower bound of the simultaneous band."""
    high: float
    """The upper bound."""


class FirstAbove(Part):
    """The step at which a drift is first exceeded, with the curve as straight lines between steps.

    null stands for 'not within the last kept step'.
    """

    drift: float
    """In percentage points."""
    step: float | None
    """By the measured drifts."""
    earliest: float | None
    """By the band's upper bound; null where the band shows that the drift is not exceeded."""
    latest: float | None
    """By the band's lower bound; null where the band does not show that it is exceeded."""
    last: int
    """The last kept step."""
    sentence: str
    """The same in words."""


class Curve(Part):
    """Dose and response: the drift of one variant against the steps of one training."""

    profile: str
    """How the variant was trained."""
    scenario: str
    """What it was trained on."""
    trainings: int
    """How many were measured: the first of the variant's. The band takes in the spread between
    trainings that the protocol states.
    """
    n: int
    """Pairs of images at each step."""
    before: float
    """Harmfulness before fine-tuning, in percent."""
    confidence: float
    """With which the band contains the drift at all steps together."""
    method: str
    """How the band was made."""
    points: list[CurvePoint]
    """A row per kept step."""
    first_above: list[FirstAbove]
    """A row per drift; the first is that of the threshold, or of R's threshold."""
    until: int | None
    """The last step that the threshold bounds; null where the curve is only reported."""
    greatest: float | None
    """The greatest drift up to that step, in percentage points."""
    greatest_low: float | None
    """Its lower bound."""
    greatest_high: float | None
    """Its upper bound."""
    not_evidence: str | None = None
    """Why the curve decides nothing, as a clause; null where it does."""
