"""What early stopping does: its errors at the threshold, its coverage and what it saves, by simulation.

    python -m benchmarks.sequential

writes docs/sequential.md. Images are drawn with known rates, and stopped by the code that a run
stops by. Exit code 1 when a check in the page does not hold.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.markdown import table
from spqr_tests.verdict import intervals, sequential
from spqr_tests.verdict.intervals import Interval
from spqr_tests.verdict.scoring import FloatArray

DOCS = Path(__file__).resolve().parents[1] / "docs"
PLANNED = (240, 511, 1000, 2000, 5000)
_MOST_IN_CLUSTERS = 2000
"""A bootstrap for each run takes its time."""
_CONFIDENCE = 0.95
_LOOK = 32
"""Images between two looks."""
_BLOCK = 4_000_000
"""Numbers held at once."""
_DRAWS = 2000
_LEAST_POWER, _MOST_POWER = 0.5, 0.99
_SHARE = 0.4


@dataclass(frozen=True)
class World:
    """What images are like, and the threshold they are held against."""

    name: str
    near: float
    """The threshold: a flagged share, or a drift as a share."""
    off: tuple[float, float]
    """Truths five points on the passing and on the failing side."""
    per_prompt: int = 1
    drift: bool = False
    lost: float = 0.01
    """Of the pairs, those that benign fine-tuning turned from flagged to not flagged."""
    correlation: float = 0.0
    """Of the flags of two images of a prompt."""

    @property
    def support(self) -> tuple[float, float]:
        """Where the values of single images lie."""
        return (-1.0, 1.0) if self.drift else (0.0, 1.0)

    @property
    def variance(self) -> float:
        """What a run guesses of an image's variance."""
        return (
            sequential.difference_variance(self.near) if self.drift else self.near * (1 - self.near)
        )

    def units(self, truth: float, shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
        """Sums of the values of a prompt's images, shape (runs, prompts)."""
        if self.drift:
            coin = rng.random(shape)
            return np.where(
                coin < truth + self.lost, 1.0, np.where(coin < truth + 2 * self.lost, -1.0, 0.0)
            )
        if self.per_prompt == 1:
            return (rng.random(shape) < truth).astype(np.float64)
        strength = 1 / self.correlation - 1
        rates = rng.beta(truth * strength, (1 - truth) * strength, shape)
        return rng.binomial(self.per_prompt, rates).astype(np.float64)

    def final(self, units: FloatArray, confidence: float) -> Interval:
        """The interval of a fixed n, as a run makes it, of one run's units."""
        images = self.per_prompt * len(units)
        if self.drift:
            return _of_pairs(int((units > 0).sum()), int((units < 0).sum()), images, confidence)
        if self.per_prompt == 1:
            return _of_rate(int(units.sum()), images, confidence)
        counts = np.bincount(units.astype(int), minlength=self.per_prompt + 1)
        return _of_prompts(tuple(counts.tolist()), confidence)


WORLDS = (
    World("safety", 0.10, (0.05, 0.15)),
    World("drift", 0.20, (0.15, 0.25), drift=True),
    World("safety, 4 images a prompt", 0.10, (0.05, 0.15), per_prompt=4, correlation=0.3),
)


@dataclass(frozen=True)
class Outcomes:
    """Runs of one world with one truth and one planned n."""

    world: World
    truth: float
    planned: int
    used: FloatArray
    """Images."""
    passed: NDArray[np.bool_]
    failed: NDArray[np.bool_]
    covered: NDArray[np.bool_]
    fixed_covered: float
    """The coverage of the planned n's interval when it is looked at once."""
    fixed_decided: float
    """How often that one decides."""

    @property
    def share(self) -> float:
        """Of the planned images, those that were made, on average."""
        return float(self.used.mean()) / self.planned

    @property
    def decided(self) -> float:
        """The share of runs that passed or failed."""
        return float((self.passed | self.failed).mean())


def simulate(world: World, truth: float, planned: int, runs: int, seed: int) -> Outcomes:
    """`runs` sequential runs of at most `planned` images each."""
    rng = np.random.default_rng(seed)
    prompts = planned // world.per_prompt
    block = max(1, _BLOCK // prompts)
    parts = [
        _block(world, truth, world.units(truth, (min(block, runs - start), prompts), rng))
        for start in range(0, runs, block)
    ]
    used, passed, failed, covered, *fixed = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    means = (float(one.mean()) for one in fixed)
    return Outcomes(world, truth, prompts * world.per_prompt, used, passed, failed, covered, *means)


def _block(world: World, truth: float, units: FloatArray) -> tuple[NDArray[np.generic], ...]:
    runs, prompts = units.shape
    during, at_the_end = sequential.split(_CONFIDENCE)
    error = (1 - during) / 2
    low, high = world.support
    near, true = ((value - low) / (high - low) for value in (world.near, truth))
    variance = sequential.unit_variance(world.variance / (high - low) ** 2, world.per_prompt)
    placed = sequential.bets(near, variance, prompts, error)
    values = np.unique(units)
    shares = (values - low * world.per_prompt) / (high - low) / world.per_prompt
    counts = np.stack([(units == value).cumsum(axis=1) for value in values], axis=-1).astype(
        np.float64
    )
    kinds = np.stack([shares, np.ones_like(shares)], axis=1)
    rich = np.log(1 / error)

    def first(mean: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """After how many prompts the bettors on less and on more than `mean` are rich; more than there are for never."""
        hits = (wealth >= rich for wealth in sequential.log_wealth(counts, kinds, mean, placed))
        less, more = (
            np.where(hit.any(axis=1), hit.argmax(axis=1) + 1, prompts + 1) for hit in hits
        )
        return less, more

    less, more = first(near)
    look = max(1, _LOOK // world.per_prompt)
    stop = np.minimum(np.minimum(-(-np.minimum(less, more) // look) * look, prompts), prompts)
    passed, failed = (less <= prompts) & (less < more), (more <= prompts) & (more < less)
    covered = np.minimum(*((less, more) if truth == world.near else first(true))) > stop
    fixed, told = np.ones(runs, dtype=bool), np.ones(runs, dtype=bool)
    for run in range(runs):
        whole = world.final(units[run], _CONFIDENCE)
        fixed[run] = whole.low <= truth <= whole.high
        told[run] = whole.high <= world.near or whole.low > world.near
        if not passed[run] and not failed[run]:
            bounds = world.final(units[run], at_the_end)
            covered[run] &= bounds.low <= truth <= bounds.high
            passed[run], failed[run] = bounds.high <= world.near, bounds.low > world.near
    return stop * world.per_prompt, passed, failed, covered, fixed, told


@lru_cache(maxsize=100_000)
def _of_rate(flagged: int, n: int, confidence: float) -> Interval:
    return intervals.clopper_pearson(flagged, n, confidence)


def _of_pairs(gained: int, lost: int, n: int, confidence: float) -> Interval:
    return intervals.percentile(
        _pair_draws(gained, lost, n), confidence, include=(gained - lost) / n
    )


@lru_cache(maxsize=10_000)
def _pair_draws(gained: int, lost: int, n: int) -> FloatArray:
    before, after = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    before[:lost], after[lost : lost + gained] = True, True
    rates = intervals.paired_draws(before, after, _DRAWS, np.random.default_rng(gained * n + lost))
    return rates[1] - rates[0]


def _of_prompts(counts: tuple[int, ...], confidence: float) -> Interval:
    each = len(counts) - 1
    share = float(np.dot(counts, np.arange(each + 1))) / (each * sum(counts))
    return intervals.percentile(_prompt_draws(counts), confidence, include=share)


@lru_cache(maxsize=10_000)
def _prompt_draws(counts: tuple[int, ...]) -> FloatArray:
    each = len(counts) - 1
    flagged = np.repeat(np.arange(each + 1), counts)
    flags = np.arange(each) < flagged[:, None]
    prompts = np.repeat(np.arange(len(flagged)), each)
    return intervals.clustered_rate_draws(
        flags.ravel(), prompts, _DRAWS, np.random.default_rng(sum(counts))
    )


def fixed_n(world: World, truth: float, power: float) -> int:
    """The least fixed n, in images, at which a 95 % interval tells `truth` from the threshold with this power."""
    tail = (1 - _CONFIDENCE) / 2
    if world.drift:
        variance = 2 * world.lost + truth - truth**2
        reach = stats.norm.isf(tail) + stats.norm.ppf(power)
        return int(np.ceil(variance * (reach / (truth - world.near)) ** 2))
    n = np.arange(20, 4001)
    if truth < world.near:
        most = (
            stats.binom.ppf(tail, n, world.near) - 1
        )  # at most so many: their upper bound is below the threshold
        powers = stats.binom.cdf(most, n, truth)
    else:
        powers = stats.binom.sf(stats.binom.isf(tail, n, world.near), n, truth)
    return int(n[powers < power].max(initial=n[0]) + 1)


@dataclass(frozen=True)
class Check:
    """Something that the page claims."""

    says: str
    holds: bool


def checks(found: Sequence[Outcomes]) -> list[Check]:
    """What has to hold of sequential runs."""
    slack = 3 * np.sqrt(0.05 * 0.95 / len(found[0].used))
    at = [one for one in found if one.truth == one.world.near]
    says = [
        Check(
            "every interval covers in at least 94 % of runs",
            all(one.covered.mean() >= 0.94 for one in found),
        ),
        Check(
            "at the threshold, at most 2.5 % of runs pass and at most 2.5 % fail, but for"
            " simulation error (three standard errors)",
            all(max(one.passed.mean(), one.failed.mean()) <= 0.025 + slack / 2 for one in at),
        ),
    ]
    for world, least in {"safety": 1000, "drift": 2000}.items():
        off = [
            one
            for one in found
            if one.world.name == world and one.truth != one.world.near and one.planned >= least
        ]
        if off:
            says.append(
                Check(
                    f"{world}, five points off the threshold: at most 40 % of the planned images"
                    f" from a planned n of {least:,} on",
                    all(one.share <= _SHARE for one in off),
                )
            )
    return says


def page(found: Sequence[Outcomes], least: Iterable[tuple[str, float, int]], command: str) -> str:
    """The page of docs/."""
    runs = len(found[0].used)
    head = f"""\
# Early stopping: errors, coverage and savings

Made by `{command}` (or `tox -e sequential`): do not edit. {runs:,} simulated runs a row. Images are looked at every {_LOOK}, and
generation stops when the interval, of {_CONFIDENCE:.0%} and valid at every n, decides against the threshold; {sequential.SEQUENCE_SHARE:.0%} of its error is
for looking, the rest for one look at the planned n. [protocols.md](protocols.md#early-stopping) says how. Safety is held against 10 % flagged
(S = .90), drift against 20 points (R = .80); of the pairs, {WORLDS[1].lost:.0%} change from flagged to not flagged. Images of one prompt have a
correlation of {WORLDS[2].correlation}.

"""
    errors = table(
        ("what", "planned n", "passes", "fails", "coverage", "coverage of the fixed n", "images"),
        (
            (
                one.world.name,
                f"{one.planned:,}",
                f"{one.passed.mean():.2%}",
                f"{one.failed.mean():.2%}",
                f"{one.covered.mean():.1%}",
                f"{one.fixed_covered:.1%}",
                f"{one.share:.0%}",
            )
            for one in found
            if one.truth == one.world.near
        ),
    )
    savings = table(
        (
            "what",
            "truth",
            "planned n",
            "mean n",
            "of the planned",
            "of a fixed n as sure",
            "decided",
            "by the planned n at once",
            "wrongly",
            "coverage",
        ),
        (
            (
                one.world.name,
                f"{100 * one.truth:.0f} {'points' if one.world.drift else '%'}",
                f"{one.planned:,}",
                f"{one.used.mean():.0f}",
                f"{one.share:.0%}",
                _against_fixed(one),
                f"{one.decided:.1%}",
                f"{one.fixed_decided:.1%}",
                f"{(one.failed if one.truth < one.world.near else one.passed).mean():.2%}",
                f"{one.covered.mean():.1%}",
            )
            for one in found
            if one.truth != one.world.near
        ),
    )
    smallest = table(
        ("what", "truth", "smallest planned n"),
        ((name, f"{truth:g}", f"about {n:,}") for name, truth, n in least),
    )
    held = table(
        ("", "holds"), ((check.says, "yes" if check.holds else "**NO**") for check in checks(found))
    )
    return f"""{head}## Exactly at the threshold

A run that passes is a false pass. Nothing is saved here: what lies on the threshold cannot be told from it.

{errors}
## Five points off the threshold

"Of a fixed n as sure": the mean n as a share of the n at which a 95 % interval that is looked at once decides as often (at most {_MOST_POWER:.0%});
for drift by the normal approximation. "By the planned n at once": how often the planned n decides without early looks, whose price is the
difference.

{savings}
## From which planned n on 40 % are enough

No method can have this at every n. With errors of 2.5 % on each side a decision needs about ln(1/.025) = 3.7 nats of evidence; an image is worth
KL(.05 || .10) = .0167 nats, or KL(.15 || .10) = .0122, or for a drift of 25 points against 20 about .006. That alone is 221, 302 and 580
images on average, 40 % of 550, 760 and 1,450. Found, in steps of 50:

{smallest}
## What it shows

{held}"""


def _against_fixed(one: Outcomes) -> str:
    """The mean n as a share of the fixed n that decides as often; nothing for images in clusters, or where half is left open."""
    if one.world.per_prompt > 1 or one.decided < _LEAST_POWER:
        return "-"
    return f"{one.used.mean() / fixed_n(one.world, one.truth, min(one.decided, _MOST_POWER)):.0%}"


def smallest(world: World, truth: float, runs: int, seed: int) -> int:
    """The smallest planned n, a multiple of 50, at which at most 40 % of it is used."""
    return next(
        n for n in range(500, 10_001, 50) if simulate(world, truth, n, runs, seed).share <= _SHARE
    )


def measured(runs: int, planned: Sequence[int], say: Callable[[str], None]) -> list[Outcomes]:
    """All rows of the page."""
    found = []
    for place, world in enumerate(WORLDS):
        for n in (n for n in planned if world.per_prompt == 1 or n <= _MOST_IN_CLUSTERS):
            for truth in (world.near, *world.off):
                found.append(simulate(world, truth, n, runs, seed=place))
                say(f"{world.name}, n = {n}, truth {truth}: {found[-1].share:.0%} of the images")
    return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--runs", type=int, default=5000, help="simulated runs a row (default: %(default)s)"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="300 runs a row and three planned n, to see that it works; nothing is written",
    )
    parser.add_argument(
        "--out", type=Path, default=DOCS, help="where sequential.md goes (default: docs)"
    )
    asked = parser.parse_args()
    runs, planned = (300, PLANNED[:3]) if asked.quick else (asked.runs, PLANNED)

    def say(line: str) -> None:
        print(line, flush=True)  # noqa: T201  a command

    found = measured(runs, planned, say)
    least = [
        (world.name, truth, smallest(world, truth, min(runs, 1000), 7))
        for world in WORLDS[:2]
        for truth in world.off
    ]
    text = page(found, least, "python -m benchmarks.sequential")
    if asked.quick:
        say(text)
    else:
        (asked.out / "sequential.md").write_text(text, encoding="utf-8")
    sys.exit(
        "\n".join(f"Does not hold: {check.says}." for check in checks(found) if not check.holds)
        or 0
    )


if __name__ == "__main__":
    main()
