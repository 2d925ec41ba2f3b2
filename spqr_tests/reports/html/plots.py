"""Plots: where their lines and points are, in the units of an SVG's view box."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from spqr_tests.reports.curves import Curve
from spqr_tests.reports.judge_thresholds import JudgeThresholds, ThresholdCurve
from spqr_tests.verdict.thresholds import Direction

_TICKS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Scale:
    """From values to places between `start` and `end`; what is beyond is drawn at the border."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The place of a value, to a tenth."""
        share = (min(max(value, self.low), self.high) - self.low) / ((self.high - self.low) or 1)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, most: int = 5) -> list[float]:
        """Round values on the scale, at most `most` + 1."""
        step = 10 ** math.floor(math.log10((self.high - self.low) / most or 1))
        step *= next(one for one in _TICKS if (self.high - self.low) / (step * one) <= most)
        first = math.ceil(self.low / step - 1e-9)
        return [
            round(number * step, 10)
            for number in range(first, math.floor(self.high / step + 1e-9) + 1)
        ]


@dataclass(frozen=True)
class Bar:
    """A value with its interval and its threshold, if it has one, on a line of 200 x 24."""

    value: float
    low: float
    high: float
    zero: float
    bound: float | None
    good: tuple[float, float] | None
    """Start and width of the side that meets the threshold."""

    @classmethod
    def of(
        cls,
        value: float,
        low: float,
        high: float,
        *,
        reach: tuple[float, float],
        bound: float | None = None,
        direction: Direction = "min",
    ) -> "Bar":
        """On a scale from `reach[0]` to `reach[1]`."""
        scale = Scale(*reach, 4, 196)
        at = None if bound is None else scale(bound)
        good = None
        if at is not None:
            good = (at, round(200 - at, 1)) if direction == "min" else (0.0, at)
        return cls(scale(value), scale(low), scale(high), scale(0), at, good)


@dataclass(frozen=True)
class Spoke:
    """One axis of the radar."""

    letter: str
    value: float
    low: float
    high: float
    bound: float | None
    """Its threshold, where that is a minimum of the axis itself."""


_CENTRE, _RADIUS = 110.0, 80.0


@dataclass(frozen=True)
class Radar:
    """Four axes around a centre in a box of 220 x 220, as points of polygons."""

    spokes: tuple[Spoke, ...]

    def points(self, values: Sequence[float]) -> str:
        """A polygon through one value in [0, 1] an axis."""
        placed = (self.at(place, value) for place, value in enumerate(values))
        return " ".join(f"{x},{y}" for x, y in placed)

    def at(self, place: int, value: float) -> tuple[float, float]:
        """Where a value of the axis at this place is."""
        angle = math.tau * place / len(self.spokes) - math.pi / 2
        reach = _RADIUS * value
        return round(_CENTRE + reach * math.cos(angle), 1), round(
            _CENTRE + reach * math.sin(angle), 1
        )

    @property
    def value(self) -> str:
        """The polygon of the values."""
        return self.points([one.value for one in self.spokes])

    @property
    def band(self) -> str:
        """The path between the intervals' bounds, to be filled by the even-odd rule."""
        outer, inner = (
            self.points([getattr(one, bound) for one in self.spokes]).replace(" ", "L")
            for bound in ("high", "low")
        )
        return f"M{outer}ZM{inner}Z"

    def ring(self, share: float) -> str:
        """A line of the grid."""
        return self.points([share] * len(self.spokes))


@dataclass(frozen=True)
class Lines:
    """A curve of drift over steps in a box of 320 x 184."""

    line: str
    band: str
    dots: tuple[tuple[float, float], ...]
    across: tuple[tuple[float, float], ...]
    """Steps, with where they are."""
    up: tuple[tuple[float, float], ...]
    """Drifts, with where they are."""
    bound: float | None

    @classmethod
    def of(cls, curve: Curve) -> "Lines":
        """The measured drifts, the band, and the drift that the first row of `first_above` is of.

        Before the first step nothing has drifted.
        """
        bounds = [one.drift for one in curve.first_above[:1]]
        tops = [one.high for one in curve.points] + bounds
        x = Scale(0, max(one.steps for one in curve.points), 40, 310)
        y = Scale(min([0.0, *(one.low for one in curve.points)]), max([1.0, *tops]), 150, 12)
        places = [(x(one.steps), y(one.drift)) for one in curve.points]
        upper = [(x(one.steps), y(one.high)) for one in curve.points]
        lower = [(x(one.steps), y(one.low)) for one in reversed(curve.points)]
        return cls(
            _joined([(x(0), y(0)), *places]),
            _joined([(x(0), y(0)), *upper, *lower]),
            tuple(places),
            tuple((one, x(one)) for one in x.ticks()),
            tuple((one, y(one)) for one in y.ticks()),
            y(bounds[0]) if bounds else None,
        )


@dataclass(frozen=True)
class ByThreshold:
    """Harmful images before and after one fine-tune by a judge's threshold, in a box of 320 x 184.

    A line and a band each; `own` is where the judge's own threshold is.
    """

    before: ThresholdCurve
    after: ThresholdCurve | None
    lines: tuple[tuple[str, str], ...]
    """Line and band, of the checkpoint first."""
    across: tuple[tuple[float, float], ...]
    """Thresholds, with where they are."""
    up: tuple[tuple[float, float], ...]
    """Percentages, with where they are."""
    own: float

    @classmethod
    def of(cls, one: JudgeThresholds, profile: str | None, scenario: str | None) -> "ByThreshold":
        """The checkpoint, and that fine-tune where it was measured."""
        before = one.curves[0]
        after = next(
            (
                curve
                for curve in one.curves[1:]
                if (curve.profile, curve.scenario) == (profile, scenario)
            ),
            None,
        )
        shown = [before] if after is None else [before, after]
        x = Scale(0, 1, 40, 310)
        y = Scale(0, max(5.0, *(point.high for curve in shown for point in curve.points)), 150, 12)
        return cls(
            before,
            after,
            tuple(
                (
                    _joined([(x(point.threshold), y(point.harmfulness)) for point in curve.points]),
                    _joined(
                        [(x(point.threshold), y(point.high)) for point in curve.points]
                        + [(x(point.threshold), y(point.low)) for point in reversed(curve.points)]
                    ),
                )
                for curve in shown
            ),
            tuple((tick, x(tick)) for tick in x.ticks()),
            tuple((tick, y(tick)) for tick in y.ticks()),
            x(one.threshold),
        )


def _joined(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in places)
