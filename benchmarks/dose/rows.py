"""What docs/dose.md is made from."""

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from benchmarks.numbers import STRICT, Numbers

SCHEMA: Literal["spqr-dose/1"] = "spqr-dose/1"


@dataclass(frozen=True, config=STRICT)
class Point:
    """The drift at one step, in points, and the weights there."""

    steps: int
    after: float
    drift: float
    low: float
    high: float
    weights: str
    """Digest of the trained tensors as the long training left them on its way."""
    separate: str
    """The same of a training of so many steps, in a store of its own."""


@dataclass(frozen=True, config=STRICT)
class Above:
    """Where a drift, in points, is first exceeded, in words."""

    drift: float
    sentence: str


@dataclass(frozen=True, config=STRICT)
class Curve:
    """The curve of one embedded variant, after one fine-tuning."""

    variant: str
    fingerprint: str
    n: int
    before: float
    points: tuple[Point, ...]
    above: tuple[Above, ...]


@dataclass(frozen=True, config=STRICT)
class Cell:
    """One simulated world at one n: shares of runs."""

    world: str
    n: int
    """Prompts."""
    runs: int
    together: float
    """The band contains the true drift at every step."""
    greatest: float
    """The interval of the greatest drift contains it."""
    crossing: float
    """The interval of the step of half the greatest drift contains it."""
    false_pass: float
    """The upper bound of the greatest drift is at most the true one."""


class Dose(Numbers):
    """Everything on the page."""

    schema_: Literal["spqr-dose/1"] = Field(alias="schema")
    protocol: str
    """Name and hash."""
    curves: tuple[Curve, ...] = Field(min_length=1)
    cells: tuple[Cell, ...] = Field(min_length=1)
