"""How often a comparison of versions fails two equal models, and how often it finds eight points of harmful.

    python -m benchmarks.versions

writes docs/versions-power.md. Exit code 1 when a check in the page does not hold.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from benchmarks.markdown import table
from spqr_tests.verdict import comparison, intervals, pairing, scoring
from spqr_tests.verdict.comparison import CONFIDENCE, Difference, Reading, Verdict
from spqr_tests.verdict.thresholds import DEFAULT_TOLERANCE

DOCS = Path(__file__).resolve().parents[1] / "docs"
N, BENIGN, CATEGORIES, FINE_TUNES = 200, 500, 3, 6
POINTS = 8
MOST, LEAST = 0.05, 0.8
_SEED = 20251119
_CONFIDENCE = 0.95
"""Of what reports and snapshots keep."""
_READING_DRAWS = 2000

Booleans = NDArray[np.bool_]


@dataclass(frozen=True)
class World:
    """Two versions, by the harmful shares in percent before and after each fine-tune; `points` more in the new one, of S or of one R."""

    before: float
    after: float
    points: float = 0
    of: str = ""
    """S, of the checkpoint and so of all its fine-tunes, or R, of the first fine-tune."""

    @property
    def label(self) -> str:
        """What differs."""
        if not self.points:
            return (
                f"equal, {self.before:g} % harmful before and {self.after:g} % after every"
                " fine-tune"
            )
        if self.of == "S":
            return (
                f"S, {self.before:g} % to {self.before + self.points:g} % harmful before"
                " fine-tuning"
            )
        return (
            f"R of one fine-tune, {self.after:g} % to {self.after + self.points:g} % harmful"
            " after it"
        )

    def shares(self, *, new: bool) -> tuple[float, ...]:
        """The harmful shares of a version, in [0, 1]: before, and after each fine-tune."""
        shares = np.array([self.before, *[self.after] * FINE_TUNES])
        if new and self.of == "S":
            shares += self.points
        elif new:
            shares[1] += self.points
        return tuple(shares / 100)


EQUAL = (World(0, 3), World(2, 5), World(10, 20), World(30, 40))
WORSE = (
    *(World(h, h + 3, POINTS, "S") for h in (0, 2, 5, 10)),
    *(World(0, h, POINTS, "R") for h in (0, 2, 5, 10)),
)
PAIRED = (0.8, 0.5)
"""How much the versions are alike: the correlation of the normal law behind two flags of one
prompt.
"""


@dataclass(frozen=True)
class Found:
    """A world: the share of runs that fail, paired by how alike the versions are, and unpaired."""

    world: World
    paired: tuple[float, ...]
    unpaired: float


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--runs", type=int, default=400, help="pairs of versions a cell (default: %(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, default=DOCS, help="where the page goes (default: docs)"
    )
    asked = parser.parse_args()
    found = [simulate(world, asked.runs) for world in (*EQUAL, *WORSE)]
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "versions-power.md").write_text(page(found, asked.runs), encoding="utf-8")
    sys.exit(
        "\n".join(
            f"Does not hold: {says}." for says, holds in checks(found, asked.runs) if not holds
        )
        or 0
    )


def simulate(world: World, runs: int) -> Found:
    """The shares of `runs` pairs of versions that fail."""
    paired = tuple(failing(world, runs, alike) for alike in PAIRED)
    return Found(world, paired, failing(world, runs, None))


def failing(world: World, runs: int, alike: float | None) -> float:
    """The share of `runs` pairs that fail; `alike` is None for a comparison of what reports keep, whose prompts are the same too."""
    rng = np.random.default_rng(_SEED)
    return sum(_fails(world, alike, rng) for _ in range(runs)) / runs


def _fails(world: World, alike: float | None, rng: np.random.Generator) -> bool:
    prompts = rng.standard_normal(N)
    old, new = (
        _flags(world.shares(new=version), prompts, PAIRED[-1] if alike is None else alike, rng)
        for version in (False, True)
    )
    differences = _benign(rng)
    differences |= _unpaired(old, new, rng) if alike is None else _paired(old, new, rng)
    changes = comparison.changes(differences, dict.fromkeys(differences, DEFAULT_TOLERANCE), {})
    return any(change.verdict is Verdict.REGRESSED for change in changes.values())


def _flags(
    shares: Sequence[float], prompts: NDArray[np.float64], alike: float, rng: np.random.Generator
) -> list[Booleans]:
    """Flags of one version, before and after each fine-tune, from how harmful each prompt tends to be and chance of its own."""
    return [
        np.sqrt(alike) * prompts + np.sqrt(1 - alike) * rng.standard_normal(len(prompts))
        < special.ndtri(share)
        for share in shares
    ]


def _benign(rng: np.random.Generator) -> dict[str, Difference]:
    """P and Q, the same in both versions: of prompts whose CLIP score varies by a sixth of the ceiling, and an FID known to 3 %."""

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


def _paired(
    old: Sequence[Booleans], new: Sequence[Booleans], rng: np.random.Generator
) -> dict[str, Difference]:
    family = 3 + CATEGORIES + FINE_TUNES
    size = max(_READING_DRAWS, intervals.enough_draws(1 - (1 - CONFIDENCE) / family))
    found = {
        f"safety {category}": pairing.safety(
            old[0][_rows(category)], new[0][_rows(category)], size, rng
        )
        for category in (None, *range(CATEGORIES))
    }
    for place in range(1, FINE_TUNES + 1):
        pairs = (old[0], old[place]), (new[0], new[place])
        found[f"robustness {place}"] = pairing.fine_tuned(
            *pairs, scoring.retention, size, rng
        ).robustness
    return found


def _unpaired(
    old: Sequence[Booleans], new: Sequence[Booleans], rng: np.random.Generator
) -> dict[str, Difference]:
    def safety(flags: Booleans) -> Reading:
        bounds = intervals.clopper_pearson(int(flags.sum()), len(flags), _CONFIDENCE)
        return Reading(
            1 - float(flags.mean()), 1 - bounds.high, 1 - bounds.low, _CONFIDENCE, len(flags)
        )

    def robustness(before: Booleans, after: Booleans) -> Reading:
        drift = 100 * (float(after.mean()) - float(before.mean()))
        drawn = intervals.paired_draws(before, after, _READING_DRAWS, rng)
        bounds = intervals.percentile(100 * (drawn[1] - drawn[0]), _CONFIDENCE, include=drift)
        r: Callable[[float], float] = scoring.retention
        return Reading(r(drift), r(bounds.high), r(bounds.low), _CONFIDENCE, len(before))

    found = {
        f"safety {category}": comparison.unpaired(
            safety(old[0][_rows(category)]), safety(new[0][_rows(category)])
        )
        for category in (None, *range(CATEGORIES))
    }
    for place in range(1, FINE_TUNES + 1):
        readings = robustness(old[0], old[place]), robustness(new[0], new[place])
        found[f"robustness {place}"] = comparison.unpaired(*readings)
    return found


def checks(found: Sequence[Found], runs: int) -> list[tuple[str, bool]]:
    """What the page claims, and whether it holds."""
    equal = [
        share for one in found if not one.world.points for share in (*one.paired, one.unpaired)
    ]
    # As many as a rate of 5 % brings in 99 of 100 simulations of all these cells.
    most = float(stats.binom.ppf(1 - 0.01 / len(equal), runs, MOST)) / runs
    easy = [
        one
        for one in found
        if one.world.points and (one.world.before if one.world.of == "S" else one.world.after) <= 2
    ]
    least = min(min(*one.paired, one.unpaired) for one in easy)
    return [
        (
            (
                f"at most {MOST:.0%} of equal versions fail, but for simulation error (most:"
                f" {max(equal):.1%})"
            ),
            max(equal) <= most,
        ),
        (
            (
                f"of versions with {POINTS} points more harmful, where there were at most 2, at"
                f" least {LEAST:.0%} fail (least: {least:.1%})"
            ),
            least >= LEAST,
        ),
    ]


def page(found: Sequence[Found], runs: int) -> str:
    """The page of docs/."""
    family = 3 + CATEGORIES + FINE_TUNES
    held = table(
        ("", "holds"), ((says, "yes" if holds else "**NO**") for says, holds in checks(found, runs))
    )
    rows = table(
        ("versions", *(f"paired, {alike:g}" for alike in PAIRED), "unpaired"),
        (
            (one.world.label, *(f"{share:.1%}" for share in one.paired), f"{one.unpaired:.1%}")
            for one in found
        ),
    )
    return f"""\
# Versions compared: errors and power

Made by `python -m benchmarks.versions` (or `tox -e versions`): do not edit. The share of {runs} simulated pairs of versions that
[a comparison](versions.md) fails: n = {N} harmful prompts in {CATEGORIES} categories, {BENIGN} benign ones, {FINE_TUNES} fine-tunes,
{family} comparisons in Holm's family, tolerance {DEFAULT_TOLERANCE:g}. "Paired" stands for versions whose evidence is in the store, by how alike they are:
the correlation of the normal laws behind the flags of one prompt. "Unpaired" compares what a report or a snapshot keeps, of versions as
alike as in the column before it.

{held}
{rows}"""


if __name__ == "__main__":
    main()
