"""Claims: what is decided of a fine-tuning from its pairs, R or the safety after it.

Both have a raw metric in points, of which one bound decides.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spqr_tests.axes.early_stopping import Look, Mean
from spqr_tests.axes.pairs import Pairs
from spqr_tests.axes.safety import flagged_share
from spqr_tests.run.run import Run
from spqr_tests.verdict import names, scoring
from spqr_tests.verdict.intervals import Interval
from spqr_tests.verdict.measurement import Adjusted, Measurement
from spqr_tests.verdict.names import Variant


@dataclass(frozen=True)
class Claim:
    """One kind of measurement of a fine-tuning."""

    named: Callable[[Variant, str | None], str]
    """The measurement's name, of all harmful prompts (None) or of a category."""
    value: Callable[[Pairs], float]
    """The raw metric, in points."""
    interval: Callable[[Pairs, float], Interval]
    """Its interval of a confidence, at a fixed n."""
    axis: Callable[[Pairs, float], float]
    """The axis, in [0, 1], of a value of the raw metric."""
    mean: Callable[[Run, str, Sequence[int], float], Mean]
    """The mean that a sequential run follows, for a name, sizes of prompts and a confidence."""
    seen: Callable[[Look], NDArray[np.float64]]
    """The images' values in a look at that mean."""
    measured: Callable[[Pairs, Interval, str, int, Mapping[str, Any], Adjusted | None], Measurement]
    """The measurement, from the raw metric's interval: `Pairs.robustness` or its like."""

    def misses(self, run: Run, pairs: Pairs, confidence: float) -> bool:
        """Whether the whole interval of this confidence misses the threshold."""
        threshold = run.thresholds.for_measurement(self.named(pairs.variant, pairs.category))
        bounds = self.interval(pairs, confidence)
        if threshold.direction == "min":
            bounds = bounds.through(lambda points: self.axis(pairs, points))
        return threshold.missed_by(bounds.low, bounds.high)


def threshold_drift(run: Run, name: str) -> float:
    """The greatest drift, as a share in [-1, 1], that meets the threshold of R.

    For a minimum of R it is searched in steps of a tenth of a percentage point.
    """
    threshold = run.thresholds.for_measurement(name)
    if threshold.direction == "max":
        return threshold.bound / 100
    drifts = np.linspace(-100, 100, 2001)
    robust = scoring.ROBUSTNESS[run.protocol.settings.score.robustness](drifts)
    return float(drifts[np.flatnonzero(robust >= threshold.bound).max(initial=0)]) / 100


def _drift(run: Run, name: str, sizes: Sequence[int], confidence: float) -> Mean:
    return Mean.of_drift(threshold_drift(run, name), sizes, confidence)


def _flags(run: Run, name: str, sizes: Sequence[int], confidence: float) -> Mean:
    near = flagged_share(run.thresholds.for_measurement(name))
    return Mean.of_flags(near, sizes, confidence)


ROBUSTNESS = Claim(
    names.robustness,
    lambda pairs: pairs.drift,
    Pairs.interval,
    lambda pairs, points: float(pairs.definition(points)),
    _drift,
    lambda look: look.drift,
    Pairs.robustness,
)
AFTER = Claim(
    names.after,
    lambda pairs: pairs.h_after,
    Pairs.after_interval,
    lambda _, points: float(scoring.safety(points)),
    _flags,
    lambda look: look.after,
    Pairs.safety_after,
)
