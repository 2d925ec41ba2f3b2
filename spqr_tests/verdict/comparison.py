"""Versions compared: what is worse or better than before by more than chance and tolerance.

All values here are of axes and SPQR: in [0, 1], and better when higher.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

import scipy

from spqr_tests.verdict import intervals, multiplicity
from spqr_tests.verdict.intervals import Interval
from spqr_tests.verdict.scoring import FloatArray

CONFIDENCE = 0.9
"""The two-sided confidence of the shown intervals, and of all comparisons of a run together.

A one-sided claim ("not worse") therefore has a bound of 95 %.
"""


class Verdict(StrEnum):
    """A measurement compared with an earlier version's.

    REGRESSED fails a run; INCONCLUSIVE and UNIMPROVED leave it undecided.
    """

    REGRESSED = "regressed"
    IMPROVED = "improved"
    UNCHANGED = "unchanged"
    """No difference counts: chance explains it, or it is within the tolerance. Nothing is shown to
    be worse; with a margin, no loss beyond it is left."""
    INCONCLUSIVE = "inconclusive"
    """No difference counts, but a loss beyond the margin is not excluded."""
    UNIMPROVED = "unimproved"
    """Not shown to be better by as much as the threshold asks for, and not worse either."""


@dataclass(frozen=True)
class Reading:
    """What a snapshot keeps of a measurement: value, two-sided interval of `confidence`, and n.

    ValueError unless 0 <= low <= value <= high <= 1, `confidence` is in (0, 1) and n is positive.
    """

    value: float
    low: float
    high: float
    confidence: float
    n: int

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.value <= self.high <= 1:
            raise ValueError(
                f"A value must be in its interval, and both in [0, 1], got {self.value} and"
                f" [{self.low}, {self.high}]."
            )
        if not 0 < self.confidence < 1 or self.n < 1:
            raise ValueError(
                "A confidence must be between 0 and 1, and n at least 1, got"
                f" {self.confidence} and {self.n}."
            )

    @property
    def bounds(self) -> Interval:
        """The interval."""
        return Interval(self.low, self.high)


@dataclass(frozen=True)
class Difference:
    """A new value minus an old one, with its two-sided interval of any confidence."""

    value: float
    interval: Callable[[float], Interval]
    """The interval of a confidence; a higher confidence's interval contains a lower one's."""
    paired: bool
    """Whether the versions were compared prompt by prompt."""


def unpaired(old: Reading, new: Reading) -> Difference:
    """The difference of two readings, assumed independent, by `intervals.difference`.

    A reading has an interval at one confidence only. At others, its arms are assumed to grow as
    those of a normal law.
    """
    value = new.value - old.value

    def interval(confidence: float) -> Interval:
        found = intervals.difference(
            new.value, _at(new, confidence), old.value, _at(old, confidence)
        )
        return Interval(max(-1.0, found.low), min(1.0, found.high))

    return Difference(value, interval, paired=False)


def _at(reading: Reading, confidence: float) -> Interval:
    grown = float(
        scipy.special.ndtri((1 + confidence) / 2)
        / scipy.special.ndtri((1 + reading.confidence) / 2)
    )
    return Interval(
        reading.value - grown * (reading.value - reading.low),
        reading.value + grown * (reading.high - reading.value),
    )


def drawn(value: float, draws: FloatArray, upper: FloatArray | None = None) -> Difference:
    """The difference `value`, with percentile intervals of its paired draws that contain it.

    With `upper`, the upper bound is that of other draws.
    """

    def interval(confidence: float) -> Interval:
        low, high = (
            intervals.percentile(one, confidence, include=value)
            for one in (draws, draws if upper is None else upper)
        )
        return Interval(low.low, high.high)

    return Difference(value, interval, paired=True)


@dataclass(frozen=True)
class Change:
    """A difference and what it means, alone and as a member of a family."""

    difference: Difference
    tolerance: float
    verdict: Verdict
    counts_at: float
    """The two-sided confidence of the interval that has to exclude 0, Holm-adjusted."""

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
    margins: Mapping[str, float] | None = None,
    gains: Mapping[str, float] | None = None,
) -> dict[str, Change]:
    """What each difference of one run means, by measurement name.

    `tolerances`, in [0, 1], has the same names. A difference counts when it is larger than its
    tolerance and its interval excludes 0.

    Of many measurements some differ by chance, so the intervals are Holm-adjusted, separately for
    worse and for better. If a version is nowhere worse than the old one, at most
    (1 - `CONFIDENCE`)/2 of its runs fail, however the measurements depend on one another.

    `parts` maps each score that is computed from others to those others. Such a score is not a
    member of the family: it counts by its interval of `CONFIDENCE`, if one of its parts counts in
    the same direction.

    `margins`, by name, are the losses that "no worse" has to exclude: the lower bound of the shown
    interval, 95 % one-sided, must be above minus the margin. Passing needs every such claim, so
    they need no adjustment (an intersection-union test). `gains`, by name, are what has to be
    shown in addition: the same bound must be above the gain.
    """
    sides = {sign: _counting(differences, tolerances, parts, sign) for sign in (-1, 1)}
    found = {}
    for name, one in differences.items():
        sign = -1 if one.value <= 0 else 1
        counts_at, counting = sides[sign]
        verdict = Verdict.UNCHANGED
        if name in counting:
            verdict = Verdict.REGRESSED if sign < 0 else Verdict.IMPROVED
        elif (margin := (margins or {}).get(name)) is not None:
            shown = one.interval(CONFIDENCE).low > -margin
            verdict = Verdict.UNCHANGED if shown else Verdict.INCONCLUSIVE
        gain = (gains or {}).get(name)
        if verdict is not Verdict.REGRESSED and gain is not None:
            better = one.interval(CONFIDENCE).low > gain
            verdict = Verdict.IMPROVED if better else Verdict.UNIMPROVED
        found[name] = Change(one, tolerances[name], verdict, counts_at.get(name, CONFIDENCE))
    return found


def _counting(
    differences: Mapping[str, Difference],
    tolerances: Mapping[str, float],
    parts: Mapping[str, Collection[str]],
    sign: int,
) -> tuple[dict[str, float], set[str]]:
    """The confidence at which each family member counts, and the names of all that count.

    Both are of the differences in the direction of `sign`.
    """
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
    """Whether a difference is beyond the tolerance, with its whole interval on that side of 0."""

    def beyond(confidence: float) -> bool:
        bounds = one.interval(confidence)
        return sign * one.value > tolerance and (bounds.high < 0 if sign < 0 else bounds.low > 0)

    return beyond
