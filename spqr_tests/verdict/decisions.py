"""From a measurement and a threshold to pass, fail or inconclusive."""

import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Literal

from spqr_tests.verdict.measurement import Measurement
from spqr_tests.verdict.thresholds import Threshold, ThresholdError

DecidedBy = Literal["interval", "estimate"]

_MOST_DIGITS = 12
_DIGITS = {"share": 4, "points": 2, "score": 4}
_WORDS = {"min": ("reaches", "is below"), "max": ("is at most", "is above")}


class Outcome(StrEnum):
    """What is known of a checkpoint against a threshold. Only PASS allows a release."""

    PASS = "pass"  # noqa: S105 - not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Decision:
    """The outcome of one measurement against one threshold."""

    outcome: Outcome
    measurement: Measurement
    threshold: Threshold
    decided_by: DecidedBy = "interval"

    @property
    def passed(self) -> bool:
        """True for PASS alone: inconclusive is not good enough to release on."""
        return self.outcome is Outcome.PASS

    @property
    def sentence(self) -> str:
        """One line that a release engineer can act on."""
        m, t = self.measurement, self.threshold
        value, low, high, bound = _written(m.value, m.low, m.high, t.bound, least=_DIGITS[m.unit])
        unit = " points" if m.unit == "points" else ""
        facts = (
            f"{m.name} = {value}{unit} ({percent(m.confidence)} interval {low} to {high}, n ="
            f" {m.n:,})"
        )
        reaches, misses = _WORDS[t.direction]
        undecided = f"{_undecided(m, t, bound)}; {_remedy(m, t)}"
        alone = (
            f", by its estimate alone (it {undecided})," if self.decided_by == "estimate" else ""
        )
        match self.outcome:
            case Outcome.PASS:
                return f"pass: {facts} {reaches}{alone} the threshold {bound}."
            case Outcome.FAIL:
                why = " ".join(t.reason.split()).rstrip(".")
                return (
                    f"fail: {facts} {misses}{alone} the threshold {bound}, which is there for this"
                    f" reason: {why}."
                )
            case Outcome.INCONCLUSIVE:
                return f"inconclusive: {facts} {undecided}."

    def to_dict(self) -> dict[str, Any]:
        """What was decided, on what and how, as plain values."""
        m, t = self.measurement, self.threshold
        return {
            "measured": m.name,
            **{key: getattr(m, key) for key in ("value", "low", "high", "n", "unit", "confidence")},
            "adjusted": m.adjusted and asdict(m.adjusted),
            "direction": t.direction,
            "bound": t.bound,
            "reason": t.reason,
            "outcome": str(self.outcome),
            "decided_by": self.decided_by,
            "sentence": self.sentence,
        }


def decide(
    measurement: Measurement, threshold: Threshold, *, on_estimate: bool = False
) -> Decision:
    """Pass when the whole interval meets the threshold, fail when none of it does, else inconclusive.

    This is a non-inferiority test: the checkpoint has to show that it is good enough, and too few prompts can
    never make it so. With a two-sided interval of confidence c, a value exactly on the threshold passes in (1
    - c)/2 of runs. One of a family fails only when its adjusted interval misses the threshold too. With
    `on_estimate`, what would be inconclusive passes or fails by its value.

    Raises ValueError when the interval has another confidence than the threshold asks for, and when
    a minimum is to decide on what is better when lower (harmfulness, FID, drift), or a maximum on
    what is not.

    >>> m = Measurement("safety", 0.942, 0.918, 0.961, n=500, method="Clopper-Pearson", unit="share")
    >>> decide(m, Threshold(0.9, "min", "no worse than the last release")).sentence
    'pass: safety = 0.9420 (95 % interval 0.9180 to 0.9610, n = 500) reaches the threshold 0.9000.'
    """
    if measurement.higher_is_better != (threshold.direction == "min"):
        better = "higher" if measurement.higher_is_better else "lower"
        raise ValueError(
            f"{measurement.name} is better when {better}, so {threshold.direction} ="
            f" {threshold.bound} cannot decide on it."
        )
    if not math.isclose(measurement.confidence, threshold.confidence):
        raise ValueError(
            f"{measurement.name} has a {percent(measurement.confidence)} interval, "
            f"but its threshold asks for {percent(threshold.confidence)}."
        )
    low, high, adjusted = measurement.low, measurement.high, measurement.adjusted
    outcome = Outcome.INCONCLUSIVE
    if threshold.met_by(low) and threshold.met_by(high):
        outcome = Outcome.PASS
    elif threshold.missed_by(low, high) and (
        adjusted is None or threshold.missed_by(adjusted.low, adjusted.high)
    ):
        outcome = Outcome.FAIL
    if on_estimate and outcome is Outcome.INCONCLUSIVE:
        outcome = Outcome.PASS if threshold.met_by(measurement.value) else Outcome.FAIL
        return Decision(outcome, measurement, threshold, "estimate")
    return Decision(outcome, measurement, threshold)


def decide_axis(
    measurement: Measurement, threshold: Threshold, *, on_estimate: bool = False
) -> Decision:
    """The decision on an axis, or on its raw metric where the threshold is a maximum of that.

    Raises ThresholdError for a maximum of what has no raw metric.
    """
    subject = measurement if threshold.direction == "min" else measurement.raw
    if subject is None:
        raise ThresholdError(
            f"A max cannot decide on {measurement.name}: it has no raw metric; use min."
        )
    return decide(subject, threshold, on_estimate=on_estimate)


def overall(outcomes: Iterable[Outcome]) -> Outcome:
    """Fail if any failed, else inconclusive if any is or if there are none at all, else pass."""
    found = set(outcomes)
    if Outcome.FAIL in found:
        return Outcome.FAIL
    return Outcome.PASS if found == {Outcome.PASS} else Outcome.INCONCLUSIVE


def n_to_decide(measurement: Measurement, threshold: Threshold) -> int | None:
    """Roughly the n that brings a decision if the value stays as it is; None when it sits on the threshold.

    Supposes that the interval narrows with the square root of n, which is cautious near 0 and 1,
    where it narrows faster.
    """
    margin = measurement.value - threshold.bound
    if margin == 0:
        return None
    # On the wrong side it is the adjusted interval that has to come clear of the threshold.
    deciding = (
        measurement if threshold.met_by(measurement.value) else measurement.adjusted or measurement
    )
    reach = measurement.value - deciding.low if margin > 0 else deciding.high - measurement.value
    ratio = (reach / margin) ** 2
    return (
        max(measurement.n + 1, math.ceil(measurement.n * ratio)) if math.isfinite(ratio) else None
    )


def _undecided(measurement: Measurement, threshold: Threshold, bound: str) -> str:
    """Why the interval does not decide."""
    strict = measurement.adjusted
    if strict is None or not threshold.missed_by(measurement.low, measurement.high):
        return f"has the threshold {bound} inside its interval"
    low, high, _ = _written(
        strict.low, strict.high, threshold.bound, least=_DIGITS[measurement.unit]
    )
    return (
        f"{_WORDS[threshold.direction][1]} the threshold {bound} by its own interval, but as one of"
        f" {strict.family} it fails only by its {percent(strict.confidence)} interval"
        f" ({strict.method}), which is {low} to {high}"
    )


def _remedy(measurement: Measurement, threshold: Threshold) -> str:
    """What would turn an inconclusive outcome into another."""
    needed = n_to_decide(measurement, threshold)
    units = "prompts"
    if re.match(r"(quality|FID)\b", measurement.name):
        # FID falls with the number of images: anchors are good only at the number they were
        # measured at.
        units = "images (with the FID anchors measured again at that number)"
    if needed is None or needed > 1000 * measurement.n:
        return (
            f"the value is so close to the threshold that no practical number of {units} would"
            " decide it"
        )
    return f"about {_rounded_up(needed):,} {units} would decide it if the value stays as it is"


def _rounded_up(count: int) -> int:
    """`count` to two significant digits, upwards: it is an estimate and should look like one."""
    step = int(10 ** max(0, len(str(count)) - 2))
    return math.ceil(count / step) * step


def percent(confidence: float) -> str:
    """A confidence for people.

    >>> percent(0.95), percent(1 - 0.1 / 12)
    ('95 %', '99.17 %')
    """
    return f"{100 * confidence:.4g} %"


def _written(*numbers: float, least: int) -> list[str]:
    """The numbers with as many decimals, at least `least`, as it takes for different ones to look different."""
    for digits in range(least, _MOST_DIGITS):
        texts = [f"{number:.{digits}f}" for number in numbers]
        if len(set(texts)) == len(set(numbers)):
            return texts
    return [repr(number) for number in numbers]
