"""Rows: the means over the runs of one world, one truth and one planned n."""

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from benchmarks.numbers import STRICT, Numbers
from benchmarks.sequential.runs import Outcomes
from benchmarks.sequential.worlds import BY_NAME, World

SCHEMA: Literal["spqr-sequential/1"] = "spqr-sequential/1"
_DIGITS = 6


@dataclass(frozen=True, config=STRICT)
class Row:
    """Mean images used, and the shares of runs that passed, failed and covered the truth."""

    name: str
    """Of the world."""
    truth: float
    planned: int
    used: float
    passed: float
    failed: float
    covered: float
    fixed_covered: float
    """The coverage of the planned n's interval when it is computed once, at the end."""
    fixed_decided: float
    """The share of runs that this interval decides."""

    @property
    def world(self) -> World:
        """The world of that name."""
        return BY_NAME[self.name]

    @property
    def at_threshold(self) -> bool:
        """Whether the truth is exactly on the threshold."""
        return self.truth == self.world.near

    @property
    def share(self) -> float:
        """The mean share of the planned images that were generated."""
        return self.used / self.planned

    @property
    def decided(self) -> float:
        """The share of runs that passed or failed."""
        return round(self.passed + self.failed, _DIGITS)

    @property
    def wrong(self) -> float:
        """Of a truth off the threshold, the share of runs that decide against it."""
        return self.failed if self.truth < self.world.near else self.passed


@dataclass(frozen=True, config=STRICT)
class Smallest:
    """The smallest planned n of which at most 40 % is used, in steps of 50."""

    name: str
    """Of the world."""
    truth: float
    planned: int


class Sequential(Numbers):
    """All rows of the page."""

    schema_: Literal["spqr-sequential/1"] = Field(alias="schema")
    runs: int
    """Of each row."""
    rows: tuple[Row, ...] = Field(min_length=1)
    smallest: tuple[Smallest, ...]


def row(found: Outcomes) -> Row:
    """The means of outcomes, rounded to what the file keeps."""
    means = (found.used, found.passed, found.failed, found.covered)
    shares = (*(float(one.mean()) for one in means), found.fixed_covered, found.fixed_decided)
    kept = (round(share, _DIGITS) for share in shares)
    return Row(found.world.name, found.truth, found.planned, *kept)
