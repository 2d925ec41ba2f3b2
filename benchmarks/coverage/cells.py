"""Cells: for one simulated world and one n, how often the interval misses the truth."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from benchmarks.numbers import STRICT, Numbers
from spqr_tests.run import floors

SCHEMA: Literal["spqr-coverage/1"] = "spqr-coverage/1"
SEED = 20251119
DRAWS = 2000
"""Bootstrap draws of an interval that is not integrated."""
FEW = 10
"""With fewer informative prompts expected than this, no interval covers what it says."""
EXACT = frozenset(
    {
        "safety",
        "prompts",
        "drift",
        "drift of prompts",
        "drift of trainings",
        "spqr of lowered harm",
        "unequal prompts",
        "corrected",
    }
)
"""Sections whose method covers more than it says in some worlds, and is meant to."""
PASSES_BELOW = frozenset(
    {
        "safety",
        "prompts",
        "drift",
        "drift of prompts",
        "drift of trainings",
        "unequal prompts",
        "corrected",
        "distances",
        "collapsed",
    }
)
"""Sections where a run passes when its whole interval is below the threshold."""
PASSES_ABOVE = frozenset({"adherence", "spqr", "spqr of lowered harm"})
"""Sections where a run passes when its whole interval is above the threshold."""
_DIGITS = 6


@dataclass(frozen=True, config=STRICT)
class Cell:
    """One world at one n: the shares of runs whose interval is above and below the truth."""

    section: str
    row: str
    n: int
    above: float
    below: float
    few: bool = False
    """By the section's criterion, too little is expected for an interval to cover what it says."""
    runs: int = 0
    """Simulated runs; 0 where all outcomes are enumerated."""

    @property
    def coverage(self) -> float:
        """The share of runs whose interval contains the truth."""
        return 1 - self.above - self.below

    @property
    def exact(self) -> bool:
        """Whether the section's method is meant to cover more than it says."""
        return self.section in EXACT

    @property
    def refused(self) -> bool:
        """Whether a protocol that decides a release may not have this n."""
        if self.section == "adherence":
            return self.n < floors.ADHERENCE
        if self.section == "quality":
            return self.n < floors.QUALITY["fid"]
        if self.section in {"distances", "collapsed"}:
            return self.n < floors.QUALITY.get(self.row.partition(",")[0].lower(), 0)
        return False

    @property
    def false_pass(self) -> float | None:
        """The share of runs that pass a truth exactly on the threshold; None without a gate."""
        if self.section in PASSES_BELOW:
            return self.below
        return self.above if self.section in PASSES_ABOVE else None

    @property
    def slack(self) -> float:
        """Three standard errors of a simulated coverage; 0 for an enumerated one."""
        return self._slack(0.05)

    @property
    def pass_slack(self) -> float:
        """Three standard errors of a simulated false pass; 0 for an enumerated one."""
        return self._slack(0.025)

    def _slack(self, share: float) -> float:
        return 3 * float(np.sqrt(share * (1 - share) / self.runs)) if self.runs else 0.0

    @property
    def text(self) -> str:
        """The coverage in percent, with the marks of the page."""
        return (
            f"{100 * self.coverage:.1f}"
            + ("e" if self.exact else "")
            + ("*" if self.few else "")
            + ("r" if self.refused else "")
        )


@dataclass(frozen=True, config=STRICT)
class Reading:
    """What a distance reads of n images of one world: its mean and deviation over repeats."""

    world: str
    distance: str
    n: int
    mean: float
    deviation: float


Cells = Iterator[Cell]


class Coverage(Numbers):
    """All cells of the page."""

    schema_: Literal["spqr-coverage/1"] = Field(alias="schema")
    seconds: float
    """How long the simulation took on one core."""
    cells: tuple[Cell, ...] = Field(min_length=1)
    readings: tuple[Reading, ...] = ()


def cell(
    section: str, row: str, n: int, missed: tuple[float, float], *, few: bool, runs: int = 0
) -> Cell:
    """A cell with the shares `missed` (above, below) rounded to what its file keeps."""
    above, below = (round(share, _DIGITS) for share in missed)
    return Cell(section, row, n, above, below, few=bool(few), runs=runs)
