"""Plots as SVG: text in them is escaped, and nothing in them is loaded or run."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from spqr_tests.reports.tables.text import short

# Okabe and Ito's colours, which people who see colours differently tell apart; then dashes do.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
_DASHES = ("", "6 3", "2 3")
_LINE = 20
_LEGEND = 260


@dataclass(frozen=True)
class Point:
    """A value in [0, 1] with the bounds of its interval; `mark` begins another protocol."""

    value: float
    low: float
    high: float
    mark: bool = False


def radar(axes: Sequence[str], models: Mapping[str, Sequence[float]]) -> str:
    """A polygon for each model: a corner per axis, in [0, 1], outwards is better."""
    centre, radius = 190.0, 140.0
    turns = [2 * math.pi * number / len(axes) - math.pi / 2 for number in range(len(axes))]

    def at(turn: float, value: float) -> str:
        reach = radius * min(1.0, max(0.0, value))
        return f"{centre + reach * math.cos(turn):.1f},{centre + reach * math.sin(turn):.1f}"

    def ring(values: Sequence[float]) -> str:
        return " ".join(at(turn, value) for turn, value in zip(turns, values, strict=True))

    rings = "".join(
        f'<polygon points="{ring([level] * len(axes))}" fill="none" stroke="currentColor"'
        ' stroke-opacity=".2"/>'
        for level in (0.25, 0.5, 0.75, 1.0)
    )
    names = "".join(
        f'<text x="{centre + 1.14 * radius * math.cos(turn):.1f}"'
        f' y="{centre + 1.14 * radius * math.sin(turn) + 4:.1f}" text-anchor="middle">'
        f"{escape(short(name))}</text>"
        for name, turn in zip(axes, turns, strict=True)
    )
    shapes = "".join(
        f'<polygon points="{ring(values)}" fill="{_colour(number)}" fill-opacity=".04"'
        f" {_stroke(number)}><title>{escape(short(name))}</title></polygon>"
        for number, (name, values) in enumerate(models.items())
    )
    height = max(2 * centre, _LINE * (len(models) + 2))
    said = f"{', '.join(axes)} of {len(models)} models; the table has the numbers"
    return _picture(2 * centre, height, said, rings + names + shapes, list(models))


def lines(places: Sequence[str], series: Mapping[str, Sequence[Point | None]]) -> str:
    """A line for each measurement over places, with its intervals; None is a gap."""
    left, top, height, step = 45.0, 20.0, 260.0, 90.0
    width = left + step * max(1, len(places))

    def x(number: int) -> float:
        return left + step * (number + 0.4)

    def y(value: float) -> float:
        return top + height * (1 - min(1.0, max(0.0, value)))

    grid = "".join(
        f'<line x1="{left}" x2="{width}" y1="{y(level):.1f}" y2="{y(level):.1f}"'
        f' stroke="currentColor" stroke-opacity=".2"/><text x="{left - 6}" y="{y(level) + 4:.1f}"'
        f' text-anchor="end">{level:g}</text>'
        for level in (0, 0.25, 0.5, 0.75, 1)
    )
    below = "".join(
        f'<text x="{x(number):.1f}" y="{top + height + 18}" text-anchor="middle">{number + 1}'
        f"<title>{escape(short(name))}</title></text>"
        for number, name in enumerate(places)
    )
    marks = {
        number
        for points in series.values()
        for number, point in enumerate(points)
        if point is not None and point.mark
    }
    borders = "".join(
        f'<line x1="{x(number) - step / 2:.1f}" x2="{x(number) - step / 2:.1f}" y1="{top}"'
        f' y2="{top + height}" stroke="currentColor" stroke-dasharray="4 4"/>'
        for number in sorted(marks)
    )
    drawn = "".join(
        _series(number, [None if one is None else (x(at), one) for at, one in enumerate(points)], y)
        for number, points in enumerate(series.values())
    )
    tall = max(top + height + 35, _LINE * (len(series) + 2))
    said = f"{len(series)} measurements of {len(places)} versions; the table has the numbers"
    return _picture(width, tall, said, grid + below + borders + drawn, list(series))


def _series(
    number: int, points: Sequence[tuple[float, Point] | None], y: Callable[[float], float]
) -> str:
    """One line; it breaks at gaps and where another protocol begins."""
    parts: list[list[str]] = [[]]
    bars = ""
    # Intervals of several lines beside each other, not on top.
    aside = 4.0 * (number % 7 - 3)
    for one in points:
        if one is None or one[1].mark:
            parts.append([])
        if one is not None:
            x, point = one[0] + aside, one[1]
            parts[-1].append(f"{x:.1f},{y(point.value):.1f}")
            bars += (
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y(point.low):.1f}" y2="{y(point.high):.1f}"'
                f' stroke="{_colour(number)}"/><circle cx="{x:.1f}" cy="{y(point.value):.1f}"'
                f' r="3" fill="{_colour(number)}"/>'
            )
    drawn = "".join(
        f'<polyline points="{" ".join(part)}" fill="none" {_stroke(number)}/>'
        for part in parts
        if len(part) > 1
    )
    return bars + drawn


def _picture(width: float, height: float, said: str, inner: str, legend: Sequence[str]) -> str:
    keys = "".join(
        f'<g><line x1="{width + 10:.0f}" x2="{width + 40:.0f}" y1="{_LINE * (number + 1)}"'
        f' y2="{_LINE * (number + 1)}" {_stroke(number)}/>'
        f'<text x="{width + 46:.0f}" y="{_LINE * (number + 1) + 4}">{escape(_key(name))}'
        f"<title>{escape(short(name))}</title></text></g>"
        for number, name in enumerate(legend)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width + _LEGEND:.0f}"'
        f' height="{height:.0f}" viewBox="0 0 {width + _LEGEND:.0f} {height:.0f}">'
        f"<title>{escape(said)}</title>{inner}{keys}</svg>"
    )


def _key(name: str) -> str:
    """A name as short as the legend is wide."""
    plain = short(name)
    return plain if len(plain) <= 30 else f"{plain[:14]}...{plain[-13:]}"


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _stroke(number: int) -> str:
    dash = _DASHES[number // len(COLOURS) % len(_DASHES)]
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'stroke="{_colour(number)}" stroke-width="2"{dashed}'
