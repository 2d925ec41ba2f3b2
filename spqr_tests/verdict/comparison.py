"""Versions compared: what is worse or better than in an earlier one, by more than chance and by more than a tolerance.

Everything here is of axes and SPQR, in [0, 1] and better when higher.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from scipy import special

from spqr_tests.verdict import intervals, multiplicity
from spqr_tests.verdict.intervals import Interval
from spqr_tests.verdict.scoring import FloatArray

CONFIDENCE = 0.9
"""Two-sided, so that what is only to be no worse has a bound of 95 %: of the intervals that are
shown, and of a run's comparisons together.
"""


class Verdict(StrEnum):
    """What is known of a measurement against an earlier version's. REGRESSED alone fails a run."""

    REGRESSED = "regressed"
    IMPROVED = "improved"
    UNCHANGED = "unchanged"
    """No difference that counts: chance explains it, or it is within the tolerance."""


@dataclass(frozen=True)
class Reading:
    """What is kept of a measurement: its value and its two-sided interval of `confidence`, in [0, 1], and the n behind it.

    ValueError unless low <= value <= high.
    """

    value: float
    low: float
    high: float
    confidence: float
    n: int

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.value <= self.high <= 1:
            raise ValueError(
                f"A value lies in its interval, and both in [0, 1], got {self.value} and"
                f" [{self.low}, {self.high}]."
            )
        if not 0 < self.confidence < 1 or self.n < 1:
            raise ValueError(
                f"A confidence lies between 0 and 1 and n is at least 1, got {self.confidence} and"
                f" {self.n}."
            )

    @property
    def bounds(self) -> Interval:
        """The interval."""
        return Interval(self.low, self.high)


@dataclass(frozen=True)
class Difference:
    """A new value minus an old one, with its two-sided interval of any confidence; these are nested."""

    value: float
    interval: Callable[[float], Interval]
    paired: bool
    """Whether it was taken prompt by prompt."""


def unpaired(old: Reading, new: Reading) -> Difference:
    """The difference of two readings that are taken for independent: square-and-add.

    Of a reading the interval is known at its own confidence; its arms are taken to grow as those of
    a normal law do.
    """
    value = new.value - old.value

    def interval(confidence: float) -> Interval:
        found = intervals.difference(
            new.value, _at(new, confidence), old.value, _at(old, confidence)
        )
        return Interval(max(-1.0, found.low), min(1.0, found.high))

    return Difference(value, interval, paired=False)


def _at(reading: Reading, confidence: float) -> Interval:
    grown = float(special.ndtri((1 + confidence) / 2) / special.ndtri((1 + reading.confidence) / 2))
    return Interval(
        reading.value - grown * (reading.value - reading.low),
        reading.value + grown * (reading.high - reading.value),
    )


def drawn(value: float, draws: FloatArray) -> Difference:
    """The difference `value` of which there are draws, prompt by prompt: percentile intervals that hold it."""
    return Difference(
        value,
        lambda confidence: intervals.percentile(draws, confidence, include=value),
        paired=True,
    )


@dataclass(frozen=True)
class Change:
    """A difference and what it means: with its interval at `CONFIDENCE`, and that by which it counts as one of a family."""

    difference: Difference
    tolerance: float
    verdict: Verdict
    counts_at: float
    """The two-sided confidence of the interval that has to exclude 0 (Holm)."""

    @property
    def value(self) -> float:
        """New minus old."""
        return self.difference.value

    @property
    def interval(self) -> Interval:
        """Two-sided, at `CONFIDENCE`."""
        return self.difference.interval(CONFIDENCE)

    @property
    def deciding(self) -> Interval:
        """Two-sided, at `counts_at`."""
        return self.difference.interval(self.counts_at)


def changes(
    differences: Mapping[str, Difference],
    tolerances: Mapping[str, float],
    parts: Mapping[str, Collection[str]],
) -> dict[str, Change]:
    """What each difference of one run means, by measurement name; `tolerances`, in [0, 1], has the same names.

    A difference counts when it is larger than its tolerance and its interval excludes 0. Of many
    measurements some differ by chance, so the intervals are those of Holm's procedure, for worse
    and for better apart: at most (1 - `CONFIDENCE`)/2 of runs of a version that is nowhere worse
    than the old one fail, however the measurements depend on one another.

    `parts` names the scores that are worked out from others, and these: such a score is no member
    of the family, and counts by its interval of `CONFIDENCE` when one of its parts counts in the
    same direction.
    """
    sides = {sign: _counting(differences, tolerances, parts, sign) for sign in (-1, 1)}
    found = {}
    for name, one in differences.items():
        sign = -1 if one.value <= 0 else 1
        counts_at, counting = sides[sign]
        verdict = Verdict.UNCHANGED
        if name in counting:
            verdict = Verdict.REGRESSED if sign < 0 else Verdict.IMPROVED
        found[name] = Change(one, tolerances[name], verdict, counts_at.get(name, CONFIDENCE))
    return found


def _counting(
    differences: Mapping[str, Difference],
    tolerances: Mapping[str, float],
    parts: Mapping[str, Collection[str]],
    sign: int,
) -> tuple[dict[str, float], set[str]]:
    """Of the differences to one side: the confidence at which each of the family counts, and which of all do."""
    beyond = {name: _beyond(one, tolerances[name], sign) for name, one in differences.items()}
    counts_at = multiplicity.holm(
        {name: claim for name, claim in beyond.items() if name not in parts}, CONFIDENCE
    )
    counting = {name for name, confidence in counts_at.items() if beyond[name](confidence)}
    following = {
        name
        for name in beyond
        if name in parts and counting & set(parts[name]) and beyond[name](CONFIDENCE)
    }
    return counts_at, counting | following


def _beyond(one: Difference, tolerance: float, sign: int) -> Callable[[float], bool]:
    """Whether the difference lies on one side of 0, by more than the tolerance and with its whole interval."""

    def beyond(confidence: float) -> bool:
        bounds = one.interval(confidence)
        return sign * one.value > tolerance and (bounds.high < 0 if sign < 0 else bounds.low > 0)

    return beyond
