"""How often equal versions fail a comparison, and how often versions 8 points more harmful do.

    python -m benchmarks.versions

writes docs/versions-power.json, what was measured, and docs/versions-power.md, the page of it. Exit
code 1 when a check in the page does not hold.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass
from scipy import special, stats

from benchmarks import numbers
from benchmarks.markdown import table
from benchmarks.numbers import STRICT, Numbers
from spqr_tests.verdict import comparison, intervals, pairing, scoring, version_power
from spqr_tests.verdict.comparison import CONFIDENCE, Difference, Reading, Verdict
from spqr_tests.verdict.correction import Correction
from spqr_tests.verdict.pairing import Chance
from spqr_tests.verdict.thresholds import DEFAULT_TOLERANCE
from spqr_tests.verdict.trainings import Spread
from spqr_tests.verdict.version_power import Compared

NAME = "versions-power"
SCHEMA: Literal["spqr-versions-power/1"] = "spqr-versions-power/1"
N, BENIGN, CATEGORIES, FINE_TUNES = 200, 500, 3, 6
POINTS = 8
MOST, LEAST = 0.05, 0.8
_SEED = 20251119
_CONFIDENCE = 0.95
"""Of the intervals that reports and snapshots keep."""
_READING_DRAWS = 2000
_DIGITS = 6
_FAMILY = 3 + CATEGORIES + FINE_TUNES
AS_PLANNED = 0.03

Booleans = NDArray[np.bool_]


@dataclass(frozen=True, config=STRICT)
class World:
    """Two versions: the percentage of harmful images before and after each fine-tune.

    In the new version `points` more are harmful, in what `of` names.
    """

    before: float
    after: float
    points: float = 0
    of: Literal["", "S", "R"] = ""
    """S: the checkpoint and so all its fine-tunes; R: the first fine-tune alone."""
    sd: float = 0
    """The standard deviation between trainings of one fine-tune, in points."""
    trainings: int = 1
    """Of each fine-tune of either version."""

    @property
    def label(self) -> str:
        """What differs between the versions."""
        if not self.points:
            return (
                f"equal, {self.before:g} % harmful before and {self.after:g} % after every"
                f" fine-tune{self._chance}"
            )
        if self.of == "S":
            return (
                f"S, {self.before:g} % to {self.before + self.points:g} % harmful before"
                " fine-tuning"
            )
        return (
            f"R of one fine-tune, {self.after:g} % to {self.after + self.points:g} % harmful"
            f" after it{self._chance}"
        )

    @property
    def _chance(self) -> str:
        said = "one training" if self.trainings == 1 else f"{self.trainings} trainings"
        return f"; {said}, SD {self.sd:g}" if self.sd or self.trainings > 1 else ""

    def shares(self, *, new: bool) -> tuple[float, ...]:
        """The harmful shares of a version, in [0, 1]: before, and after each fine-tune."""
        shares = np.array([self.before, *[self.after] * FINE_TUNES])
        if new and self.of == "S":
            shares += self.points
        elif new:
            shares[1] += self.points
        return tuple(shares / 100)


EQUAL = (
    *(World(*harm) for harm in ((0, 3), (2, 5), (10, 20), (30, 40))),
    *(
        World(2, after, sd=sd, trainings=count)
        for after, sd in ((5, 2), (20, 3), (20, 6), (40, 6))
        for count in (1, 3, 5)
    ),
)
WORSE = (
    *(World(h, h + 3, POINTS, "S") for h in (0, 2, 5, 10)),
    *(World(0, h, 3 * POINTS, "R", sd, count) for h, sd in ((2, 2), (5, 4)) for count in (1, 3, 5)),
)
SPREAD = Spread(0.05, 19)
"""The spread between trainings that the protocol states."""
PAIRED = (0.8, 0.5)
"""How alike the versions are: the correlation of the normal variables that decide two flags of one
prompt.
"""


@dataclass(frozen=True, config=STRICT)
class Found:
    """The share of runs that fail in one world, paired (one per entry of `PAIRED`) and unpaired."""

    world: World
    paired: tuple[float, ...]
    unpaired: float
    planned: tuple[float, float] | None = None
    """What `--spqr-plan` says of the last of `paired` and of `unpaired`; None for R."""


class Versions(Numbers):
    """All rows of the page."""

    schema_: Literal["spqr-versions-power/1"] = Field(alias="schema")
    runs: int
    """Pairs of versions in each cell."""
    rows: tuple[Found, ...] = Field(min_length=1)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--runs", type=int, default=400, help="pairs of versions per cell (default: %(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, default=numbers.DOCS, help="where the two files go (default: docs)"
    )
    asked = parser.parse_args()
    rows = tuple(simulate(world, asked.runs) for world in (*EQUAL, *WORSE))
    found = Versions(schema_=SCHEMA, runs=asked.runs, rows=rows)
    kept = numbers.publish(found, asked.out, NAME, page)
    sys.exit("\n".join(f"Does not hold: {says}." for says, holds in checks(kept) if not holds) or 0)


def simulate(world: World, runs: int) -> Found:
    """The shares of `runs` pairs of versions that fail."""
    paired = tuple(failing(world, runs, alike) for alike in PAIRED)
    return Found(world, paired, failing(world, runs, None), _planned(world))


def _planned(world: World) -> tuple[float, float] | None:
    if world.of != "S":
        return None
    before, after = (world.shares(new=new)[0] for new in (False, True))
    compared = {
        str(category): Compared(_rows(category), DEFAULT_TOLERANCE, _CONFIDENCE)
        for category in (None, *range(CATEGORIES))
    }
    paired, unpaired = (
        round(version_power.chance(compared, _FAMILY, before, after, paired=one), _DIGITS)
        for one in (True, False)
    )
    return paired, unpaired


def failing(world: World, runs: int, alike: float | None) -> float:
    """The share of `runs` pairs that fail.

    With `alike` None, what reports keep of the two versions is compared: unpaired, although the
    prompts are the same.
    """
    rng = np.random.default_rng(_SEED)
    return round(sum(_fails(world, alike, rng) for _ in range(runs)) / runs, _DIGITS)


def _fails(world: World, alike: float | None, rng: np.random.Generator) -> bool:
    prompts = rng.standard_normal(N)
    old, new = (
        _flags(world, prompts, PAIRED[-1] if alike is None else alike, rng, new=version)
        for version in (False, True)
    )
    differences = _benign(rng)
    differences |= _unpaired(old, new, rng) if alike is None else _paired(old, new, rng)
    changes = comparison.changes(differences, dict.fromkeys(differences, DEFAULT_TOLERANCE), {})
    return any(change.verdict is Verdict.REGRESSED for change in changes.values())


Flags = tuple[Booleans, list[list[Booleans]]]
"""Of one version: before, and after each training of each fine-tune."""


def _flags(
    world: World,
    prompts: NDArray[np.float64],
    alike: float,
    rng: np.random.Generator,
    *,
    new: bool,
) -> Flags:
    """Flags of one version.

    `prompts` is how harmful each prompt tends to be; the rest is independent chance.
    """

    def flags(share: float) -> Booleans:
        own = np.sqrt(1 - alike) * rng.standard_normal(len(prompts))
        return np.asarray(np.sqrt(alike) * prompts + own < special.ndtri(np.clip(share, 0, 1)))

    before, *after = world.shares(new=new)
    chance = world.sd / 100 * rng.standard_normal((len(after), world.trainings))
    return flags(before), [
        [flags(share + one) for one in each] for share, each in zip(after, chance, strict=True)
    ]


def _benign(rng: np.random.Generator) -> dict[str, Difference]:
    """P and Q, equal in both versions up to chance.

    A prompt's CLIP score has a standard deviation of .15 of the ceiling, which gives P's error.
    Q's standard error is .01, as of an FID known to about 3 %.
    """

    def read(deviation: float, n: int) -> Reading:
        reach = float(special.ndtri((1 + _CONFIDENCE) / 2)) * deviation
        value = float(np.clip(0.9 + deviation * rng.standard_normal(), reach, 1 - reach))
        return Reading(value, value - reach, value + reach, _CONFIDENCE, n)

    p, q = (
        comparison.unpaired(read(one, BENIGN), read(one, BENIGN))
        for one in (0.15 / BENIGN**0.5, 0.01)
    )
    return {"adherence": p, "quality": q}


def _rows(category: int | None) -> Booleans:
    return np.ones(N, dtype=bool) if category is None else np.arange(N) % CATEGORIES == category


def _paired(old: Flags, new: Flags, rng: np.random.Generator) -> dict[str, Difference]:
    size = max(_READING_DRAWS, intervals.enough_draws(1 - (1 - CONFIDENCE) / _FAMILY))
    found = {
        f"safety {category}": pairing.safety(
            old[0][_rows(category)], new[0][_rows(category)], size, rng
        )
        for category in (None, *range(CATEGORIES))
    }
    chance = Chance(SPREAD, Correction(None, size, rng), size)
    texts = [str(number) for number in range(N)]
    for place in range(FINE_TUNES):
        versions = (old[0], old[1][place]), (new[0], new[1][place])
        found[f"robustness {place}"] = pairing.fine_tuned(
            *versions, scoring.retention, chance, rng, texts
        ).robustness
    return found


def _unpaired(old: Flags, new: Flags, rng: np.random.Generator) -> dict[str, Difference]:
    def safety(flags: Booleans) -> Reading:
        bounds = intervals.clopper_pearson(int(flags.sum()), len(flags), _CONFIDENCE)
        return Reading(
            1 - float(flags.mean()), 1 - bounds.high, 1 - bounds.low, _CONFIDENCE, len(flags)
        )

    def robustness(before: Booleans, after: Sequence[Booleans]) -> Reading:
        count = len(after)
        drift = 100 * (float(np.mean(after)) - float(before.mean()))
        clusters = np.tile(np.arange(N), count)
        first, second = intervals.paired_draws(
            np.tile(before, count), np.concatenate(after), _READING_DRAWS, rng, clusters
        )
        spread = SPREAD.with_trainings([float(one.mean()) for one in after])
        second = spread.moved(second, count, rng)
        bounds = intervals.percentile(100 * (second - first), _CONFIDENCE, include=drift)
        r: Callable[[float], float] = scoring.retention
        return Reading(r(drift), r(bounds.high), r(bounds.low), _CONFIDENCE, len(before))

    found = {
        f"safety {category}": comparison.unpaired(
            safety(old[0][_rows(category)]), safety(new[0][_rows(category)])
        )
        for category in (None, *range(CATEGORIES))
    }
    for place in range(FINE_TUNES):
        readings = robustness(old[0], old[1][place]), robustness(new[0], new[1][place])
        found[f"robustness {place}"] = comparison.unpaired(*readings)
    return found


def checks(found: Versions) -> list[tuple[str, bool]]:
    """What the page claims, and whether it holds."""
    equal = [
        share for one in found.rows if not one.world.points for share in (*one.paired, one.unpaired)
    ]
    # A false alarm rate of 5 % stays below this in 99 of 100 simulations of all these cells.
    most = float(stats.binom.ppf(1 - 0.01 / len(equal), found.runs, MOST)) / found.runs
    easy = [one for one in found.rows if one.world.of == "S" and one.world.before <= 2]
    least = min(min(*one.paired, one.unpaired) for one in easy)
    return [
        (
            (
                f"at most {MOST:.0%} of equal versions fail, within the error of the simulation"
                f" (most: {max(equal):.1%})"
            ),
            max(equal) <= most,
        ),
        (
            (
                f"where at most 2 % were harmful before, at least {LEAST:.0%} of versions that show"
                f" {POINTS} points more fail (least: {least:.1%})"
            ),
            least >= LEAST,
        ),
        (
            (
                f"`--spqr-plan` says how often {POINTS} points more harm are found, to within"
                f" {100 * AS_PLANNED:g} points and two standard errors of the simulation (most"
                f" beyond them: {_most_off(found):.1%})"
            ),
            _most_off(found) <= AS_PLANNED,
        ),
    ]


def _most_off(found: Versions) -> float:
    """By how much the plan is wrong at most, less two standard errors; at least 0."""
    off = [0.0]
    for one in found.rows:
        seen = (one.paired[-1], one.unpaired)
        for share, planned in zip(seen, one.planned or seen, strict=True):
            error = (planned * (1 - planned) / found.runs) ** 0.5
            off.append(abs(share - planned) - 2 * error)
    return max(off)


def page(found: Versions) -> str:
    """The page of docs/: a function of the numbers alone."""
    held = table(
        ("", "holds"), ((says, "yes" if holds else "**NO**") for says, holds in checks(found))
    )
    rows = table(
        ("versions", *(f"paired, {alike:g}" for alike in PAIRED), "unpaired", "the plan says"),
        (
            (
                one.world.label,
                *(f"{share:.1%}" for share in one.paired),
                f"{one.unpaired:.1%}",
                " and ".join(f"{share:.1%}" for share in one.planned or ()),
            )
            for one in found.rows
        ),
    )
    return f"""\
# Versions compared: errors and power

Made by `python -m benchmarks.versions` (or `tox -e versions`): do not edit.
[versions-power.json](versions-power.json) has the same numbers. The table shows the share of
{found.runs:,} simulated pairs of versions that [a comparison](versions.md) fails. A pair has
n = {N} harmful prompts in {CATEGORIES} categories, {BENIGN} benign prompts and
{FINE_TUNES} fine-tunes: {_FAMILY} comparisons in Holm's family. The tolerance is
{DEFAULT_TOLERANCE:g}. Every version is trained anew, and what its trainings add is normal with the
SD of the row, in points; the protocol states an intraclass correlation of {SPREAD.icc:g}, known
from {SPREAD.freedom + 1:g} trainings.

- "paired": the store holds the evidence of both versions. The number is how alike they are: the
  correlation of the normal variables that decide two flags of one prompt.
- "unpaired": a report or a snapshot is compared, of versions as alike as in the column before.
- "the plan says": what `--spqr-plan` says of both, with a baseline.

{held}
{rows}"""


if __name__ == "__main__":
    main()
