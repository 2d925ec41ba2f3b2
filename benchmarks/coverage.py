"""How often the intervals hold the truth, and how often the gate passes what lies exactly on its threshold.

    python -m benchmarks.coverage

writes docs/coverage.md. Exit code 1 when a check in the page does not hold.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks import laws
from benchmarks.laws import FloatArray
from benchmarks.markdown import table
from spqr_tests.metrics.frechet import Frechet
from spqr_tests.verdict import correction, intervals, scoring
from spqr_tests.verdict.correction import Accuracy
from spqr_tests.verdict.intervals import Interval

DOCS = Path(__file__).resolve().parents[1] / "docs"
SIZES = (50, 120, 240, 511, 1000, 2000, 5000)
RATES = (0.005, 0.02, 0.05, 0.1, 0.3, 0.5, 0.9)
CORRELATIONS = (0.0, 0.3, 0.6, 0.9)
LEAST, MOST, FALSE_PASS = 0.94, 0.965, 0.05
FEW = 10
"""Below so many prompts that are expected to tell, counts are too few for any interval to cover
what it says.
"""
_LITTLE = 15
"""Below this variance of the pairs gained less those lost, one of them more or less moves the
coverage by over 1.5 points: a normal density of .058 at the bound, by a standard deviation below
3.9.
"""
_TAIL = 0.025
_DRAWS = 2000
_SEED = 20251119
_LATTICE = 150
"""Counts of one kind that are looked at, at most: of more, every second, third, ..."""
_WIDTH = 64
_WIDE = 8
"""FID's jackknife is too wide with fewer images than so many times the features."""
_FID_SIZES = SIZES[:5]
_REFERENCE = 2000
_GROUPS = 100
_ACCURACY = (0.9, 200, 0.95, 400)


@dataclass(frozen=True)
class Cell:
    """One world at one n: shares of runs whose interval lies above the truth, and below it."""

    section: str
    row: str
    n: int
    above: float
    below: float
    few: bool = False
    """The section's criterion: so little is expected that an interval has to cover more than it
    says.
    """
    exact: bool = False
    """A method that never covers less than it says, and is therefore conservative."""
    gated: bool = False
    """What lies on the threshold is passed by the interval's side that this world's `false_pass` is
    of.
    """
    passes_above: bool = False
    runs: int = 0
    """0 for outcomes that are enumerated."""

    @property
    def coverage(self) -> float:
        """The share of runs whose interval holds the truth."""
        return 1 - self.above - self.below

    @property
    def false_pass(self) -> float:
        """Of a truth exactly on the threshold, the share of runs that pass."""
        return self.above if self.passes_above else self.below

    @property
    def slack(self) -> float:
        """Three standard errors of the coverage, for what is simulated."""
        return 3 * float(np.sqrt(0.05 * 0.95 / self.runs)) if self.runs else 0.0

    @property
    def text(self) -> str:
        """The coverage in percent, marked where it may exceed what is asked for."""
        return (
            f"{100 * self.coverage:.1f}" + ("e" if self.exact else "") + ("*" if self.few else "")
        )


Cells = Iterator[Cell]


def _tails(below: FloatArray, weights: FloatArray) -> tuple[float, float]:
    """The shares of outcomes whose interval lies above and below the truth, of whose law `below` (outcomes,) is below it."""
    total = weights.sum()
    return float(weights[below < _TAIL].sum() / total), float(
        weights[below > 1 - _TAIL].sum() / total
    )


def cells_of(before: float, after: float, correlation: float) -> NDArray[np.float64] | None:
    """How probable both, before only, after only and neither are; None for an impossible correlation."""
    both = before * after + correlation * np.sqrt(before * (1 - before) * after * (1 - after))
    found = np.array([both, before - both, after - both, 1 - before - after + both])
    return None if found.min() < -1e-12 else found.clip(0) / found.clip(0).sum()


def safety(sizes: Sequence[int]) -> Cells:
    """Clopper-Pearson's interval of a rate: all outcomes."""
    for n, rate in itertools.product(sizes, RATES):
        counts = np.arange(n + 1)
        bounds = [intervals.clopper_pearson(int(k), n) for k in counts]
        weights = stats.binom.pmf(counts, n, rate)
        above = float(weights[[one.low > rate for one in bounds]].sum())
        below = float(weights[[one.high < rate for one in bounds]].sum())
        yield Cell("safety", f"{rate:g}", n, above, below, exact=True, gated=True)


def rates_of_prompts(sizes: Sequence[int], runs: int) -> Cells:
    """The interval of a rate of images that share prompts."""
    rng = np.random.default_rng(_SEED)
    for images, alike in ((3, 0.3), (4, 0.3), (4, 0.8)):
        for n, rate in itertools.product(sizes, RATES):
            # The gained and the neither of a pair that loses nothing.
            chances = laws.shares(images, (0.0, rate, 1 - rate), alike)[
                laws.kinds(images)[:, 0] == 0
            ]
            counts, times = _distinct(rng.multinomial(n, chances, size=runs))
            above, below = _tails(laws.rate_below(counts, images, rate), times)
            tells = n * min(1 - chances[0], 1 - chances[-1])
            yield Cell(
                "prompts",
                f"{images} images, {alike:g}: {rate:g}",
                n,
                above,
                below,
                few=tells < FEW,
                gated=True,
                runs=runs,
            )


def drifts(sizes: Sequence[int]) -> Cells:
    """The drift of pairs: all outcomes, or a lattice of them."""
    for n in sizes:
        for before, after in itertools.combinations_with_replacement(RATES, 2):
            for correlation in CORRELATIONS:
                found = cells_of(before, after, correlation)
                if found is None:
                    continue
                _, lost, gained, _ = found
                counts, weights = _lattice(n, lost, gained)
                above, below = _tails(laws.drift_below(counts, 1, gained - lost), weights)
                few = n * (lost + gained - (gained - lost) ** 2) < _LITTLE
                yield Cell(
                    "drift",
                    f"{before:g} to {after:g}, {correlation:g}",
                    n,
                    above,
                    below,
                    few=few,
                    gated=True,
                )


def _lattice(n: int, lost: float, gained: float) -> tuple[FloatArray, FloatArray]:
    """Prompts by `laws.kinds(1)` (outcomes, 3), and how probable each outcome is."""

    def steps(rate: float) -> NDArray[np.int64]:
        low, high = stats.binom.ppf([1e-7, 1 - 1e-7], n, rate) if rate > 0 else (0, 0)
        return np.arange(int(low), int(high) + 1, max(1, int(high - low) // _LATTICE))

    less, more = (one.ravel() for one in np.meshgrid(steps(lost), steps(gained), indexing="ij"))
    fits = less + more <= n
    less, more = less[fits], more[fits]
    weights = stats.multinomial.pmf(
        np.column_stack([less, more, n - less - more]), n, [lost, gained, 1 - lost - gained]
    )
    kept = weights > weights.max() * 1e-6
    # The order of `kinds`: unchanged, gained, lost.
    return np.column_stack([n - less - more, more, less])[kept].astype(np.float64), weights[kept]


def drifts_of_prompts(sizes: Sequence[int], runs: int) -> Cells:
    """The drift of pairs that share prompts; before, after and the correlation of pairs decide how many are lost and gained."""
    rng = np.random.default_rng(_SEED)
    worlds = (
        (0.02, 0.05, 0.3),
        (0.05, 0.05, 0.6),
        (0.1, 0.3, 0.3),
        (0.3, 0.3, 0.6),
        (0.5, 0.9, 0.0),
    )
    for images, alike in ((3, 0.3), (4, 0.3), (4, 0.8)):
        kinds = laws.kinds(images)
        for n, (before, after, correlation) in itertools.product(sizes, worlds):
            found = cells_of(before, after, correlation)
            if found is None:
                raise ValueError(
                    f"There is no correlation of {correlation} between {before} and {after}."
                )
            _, lost, gained, _ = found
            chances = laws.shares(images, (lost, gained, 1 - lost - gained), alike)
            counts, times = _distinct(rng.multinomial(n, chances, size=runs))
            above, below = _tails(laws.drift_below(counts, images, gained - lost), times)
            changed = chances[kinds[:, 0] != kinds[:, 1]].sum()
            yield Cell(
                "drift of prompts",
                f"{images} images, {alike:g}: {before:g} to {after:g}, {correlation:g}",
                n,
                above,
                below,
                few=n * min(changed, 1 - changed) < FEW,
                gated=True,
                runs=runs,
            )


def _distinct(counts: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    found, times = np.unique(counts, axis=0, return_counts=True)
    return found.astype(np.float64), times.astype(np.float64)


Sampler = Callable[[np.random.Generator, tuple[int, ...]], FloatArray]
SCORES: dict[str, tuple[float, float, Sampler]] = {
    "normal": (0.3, 1.0, lambda rng, shape: rng.normal(0.3, 0.03, shape)),
    "skewed (0.4 less a gamma law of shape 2)": (
        0.36,
        1.0,
        lambda rng, shape: 0.4 - 0.02 * rng.gamma(2, size=shape),
    ),
    "two modes, 25 % at half": (
        0.2625,
        0.25,
        lambda rng, shape: (
            np.where(rng.random(shape) < 0.25, 0.15, 0.3) + 0.02 * rng.standard_normal(shape)
        ),
    ),
    "two modes, 5 % at half": (
        0.2925,
        0.05,
        lambda rng, shape: (
            np.where(rng.random(shape) < 0.05, 0.15, 0.3) + 0.02 * rng.standard_normal(shape)
        ),
    ),
}
"""The mean of CLIP scores, the share of the smaller mode, and how they are drawn."""


def adherence(sizes: Sequence[int], runs: int) -> Cells:
    """The mean CLIP score; of two images of a prompt, the prompt's part is shared."""
    rng = np.random.default_rng(_SEED)
    for (name, (truth, share, draw)), n, images in itertools.product(SCORES.items(), sizes, (1, 3)):
        clusters = np.repeat(np.arange(n), images) if images > 1 else None

        def one(values: FloatArray, clusters: NDArray[np.int64] | None = clusters) -> FloatArray:
            return intervals.mean_draws(values, _DRAWS, rng, clusters)

        found = []
        for _ in range(runs):
            values = np.repeat(draw(rng, (n,)), images)
            if images > 1:
                values = values + rng.normal(0, 0.02, values.shape)
            found.append(intervals.percentile(one(values), include=float(values.mean())))
        label = name if images == 1 else f"{name}, {images} images a prompt"
        above, below = _misses(found, truth)
        yield Cell(
            "adherence",
            label,
            n,
            above,
            below,
            few=n * share < FEW,
            gated=True,
            passes_above=True,
            runs=runs,
        )


def _misses(found: Sequence[Interval], truth: float) -> tuple[float, float]:
    return float(np.mean([one.low > truth for one in found])), float(
        np.mean([one.high < truth for one in found])
    )


def _gaussian(rng: np.random.Generator, n: int) -> FloatArray:
    return rng.standard_normal((n, _WIDTH)) * np.linspace(0.2, 2, _WIDTH)


def _shifted(rng: np.random.Generator, n: int) -> FloatArray:
    return _gaussian(rng, n) + 0.2


def _mixture(rng: np.random.Generator, n: int) -> FloatArray:
    centres = np.random.default_rng(9).standard_normal((4, _WIDTH))
    scales = np.where(rng.random(n) < 0.2, 1.6, 0.8)[:, None]
    return _gaussian(rng, n) * scales + centres[rng.integers(4, size=n)] + 0.3


def _fid(features: FloatArray, mean: FloatArray, root: FloatArray) -> float:
    """FID of features (n, width) to a reference with this mean and root of the covariance."""
    offset = features.mean(axis=0) - mean
    covariance = np.cov(features, rowvar=False)
    values = np.linalg.eigvalsh(root @ covariance @ root)
    return float(
        offset @ offset + (root**2).sum() + covariance.trace() - 2 * np.sqrt(values.clip(0)).sum()
    )


def quality(sizes: Sequence[int], runs: int) -> Cells:
    """FID against a fixed reference; the truth is its expectation for as many images."""
    reference = _gaussian(np.random.default_rng(_SEED), _REFERENCE)
    frechet, mean = Frechet(reference), reference.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(reference, rowvar=False))
    root = (vectors * np.sqrt(values)) @ vectors.T
    for (name, draw), n in itertools.product(
        (("one Gaussian", _shifted), ("four Gaussians, each of two widths", _mixture)), sizes
    ):
        rng = np.random.default_rng([_SEED, n])
        truth = float(np.mean([_fid(draw(rng, n), mean, root) for _ in range(10 * runs)]))
        found = []
        for _ in range(runs):
            features = draw(rng, n)
            value = _fid(features, mean, root)
            left = frechet.without(features, rng.permutation(n) % min(n, _GROUPS))
            pseudo = value + (len(left) - 1) * (left.mean() - left)
            found.append(
                intervals.percentile(intervals.mean_draws(pseudo, _DRAWS, rng), include=value)
            )
        yield Cell("quality", name, n, *_misses(found, truth), few=n < _WIDE * _WIDTH, runs=runs)


def score(sizes: Sequence[int], runs: int) -> Cells:
    """SPQR from joint draws of its axes: flags before and after, CLIP scores, and pseudo-values of FID, taken for normal."""
    ceiling, best, worst = 0.3, 0.0, 100.0
    worlds = ((0.05, 0.05, 0.6), (0.05, 0.1, 0.3), (0.3, 0.5, 0.6))
    for (before, after, correlation), n in itertools.product(worlds, sizes):
        rng = np.random.default_rng([_SEED, n])
        cells = cells_of(before, after, correlation)
        if cells is None:
            raise ValueError(
                f"There is no correlation of {correlation} between {before} and {after}."
            )
        truth = float(
            scoring.spqr(
                1 - before,
                0.27 / ceiling,
                scoring.quality(30.0, best, worst),
                scoring.retention(100 * (after - before)),
            )
        )
        found = []
        for outcome in rng.multinomial(n, cells, size=runs):
            flags = np.repeat(
                np.array([[True, True], [True, False], [False, True], [False, False]]),
                outcome,
                axis=0,
            )
            rates = intervals.paired_draws(flags[:, 0], flags[:, 1], _DRAWS, rng)
            scores = rng.normal(0.27, 0.03, n)
            pseudo = rng.normal(30, 15, _GROUPS)
            drawn = scoring.spqr_draws(
                1 - rates[0],
                _adherence(intervals.mean_draws(scores, _DRAWS, rng)),
                _quality(intervals.mean_draws(pseudo, _DRAWS, rng)),
                scoring.robustness_draws(scoring.retention, 100 * (rates[1] - rates[0])),
            )
            h_before, h_after = 100 * flags.mean(axis=0)
            value = scoring.spqr(
                scoring.safety(float(h_before)),
                float(_adherence(scores.mean())),
                float(_quality(pseudo.mean())),
                scoring.retention(float(h_after - h_before)),
            )
            found.append(intervals.percentile(drawn, include=value))
        few = n * (cells[1] + cells[2]) < FEW
        label = f"{before:g} to {after:g}, {correlation:g}"
        yield Cell(
            "spqr",
            label,
            n,
            *_misses(found, truth),
            few=few,
            gated=True,
            passes_above=True,
            runs=runs,
        )


def _adherence(scores: FloatArray) -> FloatArray:
    return scoring.adherence(scores, 0.3)


def _quality(fids: FloatArray) -> FloatArray:
    return scoring.quality(np.maximum(fids, 0), 0.0, 100.0)


def corrected(sizes: Sequence[int], runs: int) -> Cells:
    """Harmfulness corrected for judges of which sensitivity and specificity were measured."""
    sensitivity, harmful, specificity, harmless = _ACCURACY
    for n, rate in itertools.product(sizes, RATES):
        rng = np.random.default_rng([_SEED, n])
        flagged = rate * sensitivity + (1 - rate) * (1 - specificity)
        found = []
        for count in rng.binomial(n, flagged, size=runs):
            known = Accuracy(
                rng.binomial(harmful, sensitivity) / harmful,
                harmful,
                rng.binomial(harmless, specificity) / harmless,
                harmless,
            )
            draws = intervals.clustered_rate_draws(np.arange(n) < count, np.arange(n), _DRAWS, rng)
            share = correction.error_corrected(count / n, known)
            found.append(correction.error_corrected_interval(draws, known, rng, include=share))
        # What is found harmful has to stand out of what judges flag by mistake.
        few = min(n * rate, n * (1 - rate)) < FEW or rate < 2 * _error(n, flagged)
        yield Cell("corrected", f"{rate:g}", n, *_misses(found, rate), few=few, runs=runs)


def _error(n: int, flagged: float) -> float:
    """The standard error of the corrected share, about."""
    sensitivity, _, specificity, harmless = _ACCURACY
    variance = flagged * (1 - flagged) / n + specificity * (1 - specificity) / harmless
    return float(np.sqrt(variance)) / (sensitivity + specificity - 1)


SECTIONS = {
    "safety": (
        "Safety",
        (
            "Clopper-Pearson's interval of a rate; every outcome is counted. It is exact and so"
            " never covers less than 95 %, and more where rates are low. Rows are rates."
        ),
    ),
    "prompts": (
        "A rate of images that share prompts",
        (
            "n prompts of several images, with the correlation of two flags of a prompt"
            " (beta-binomial), at a rate; simulated."
        ),
    ),
    "drift": (
        "Drift, and so robustness",
        (
            "Pairs of one image each: the rates before and after, and the correlation of the two"
            " flags, where there can be one so high. All outcomes are counted, or a lattice of at"
            f" most {_LATTICE} counts of either change."
        ),
    ),
    "drift of prompts": (
        "Drift of images that share prompts",
        (
            "n prompts of several images; the correlation within prompts is that of what happens to"
            " two of its images (Dirichlet-multinomial); then the rates before and after, and the"
            " correlation of the flags of a pair. Simulated."
        ),
    ),
    "adherence": ("Adherence", "The mean CLIP score of n prompts; simulated."),
    "quality": (
        "Quality",
        (
            f"FID of {_WIDTH} features to {_REFERENCE:,} pictures; the truth is what FID is on"
            " average for n images, from ten times as many runs. Larger n cost too much here, and"
            " the criterion of the mark says what they would show."
        ),
    ),
    "spqr": (
        "SPQR",
        (
            "From joint draws, as in a run; P from n scores, FID with a standard error of 1.5"
            " between anchors of 0 and 100."
        ),
    ),
    "corrected": (
        "Harmfulness corrected for the judges' errors",
        (
            f"Sensitivity {_ACCURACY[0]:g} from {_ACCURACY[1]} pictures, specificity"
            f" {_ACCURACY[2]:g} from {_ACCURACY[3]}, both measured anew in each run. Rows are the"
            " true rates."
        ),
    ),
}
REASONS = {
    "prompts": f"fewer than {FEW} prompts expected with a flag, or with one that is missing",
    "drift": (
        f"the number of pairs gained less those lost has a variance below {_LITTLE}, so that one"
        " more or less moves the coverage by over 1.5 points"
    ),
    "drift of prompts": f"fewer than {FEW} prompts expected to change on balance, or not to",
    "adherence": (
        f"fewer than {FEW} scores expected in the smaller mode, so that a run may see none of it:"
        " here it covers less"
    ),
    "quality": (
        f"n below {_WIDE} times the features: the jackknife's variance counts what is quadratic in"
        " the features twice (Efron and Stein 1981)"
    ),
    "spqr": f"fewer than {FEW} pairs expected to change",
    "corrected": (
        f"fewer than {FEW} harmful or harmless images expected, or a rate below two standard"
        " errors, which the bound 0 cuts off"
    ),
}


@dataclass(frozen=True)
class Check:
    """Something that the page claims."""

    says: str
    holds: bool


def checks(cells: Sequence[Cell]) -> list[Check]:
    """What has to hold."""
    plain = [cell for cell in cells if not cell.few]
    rare = [cell for cell in cells if cell.few and cell.section != "adherence"]
    passed = [
        cell.false_pass
        for cell in cells
        if cell.gated and not (cell.few and cell.section == "adherence")
    ]
    return [
        Check(
            f"coverage of at least {LEAST:.0%} wherever nothing is marked (least:"
            f" {min(one.coverage for one in plain):.1%})",
            all(one.coverage >= LEAST for one in plain),
        ),
        Check(
            f"coverage of at least {LEAST:.0%} also where so few are expected, but for adherence "
            f"(least: {min((one.coverage for one in rare), default=1.0):.1%})",
            all(one.coverage >= LEAST for one in rare),
        ),
        Check(
            f"coverage of at most {MOST:.1%} wherever nothing is marked and the method is not"
            " exact, but for simulation error (greatest:"
            f" {max(one.coverage for one in plain if not one.exact):.1%})",
            all(one.coverage <= MOST + one.slack for one in plain if not one.exact),
        ),
        Check(
            f"at most {FALSE_PASS:.0%} of runs pass what lies exactly on the threshold, but for"
            f" adherence where so few are expected (most: {max(passed, default=0.0):.1%})",
            max(passed, default=0.0) <= FALSE_PASS,
        ),
    ]


def page(cells: Sequence[Cell], command: str, seconds: float) -> str:
    """The page of docs/."""
    parts = [
        f"""# What the intervals cover

Made by `{command}` (or `tox -e coverage`) in {seconds / 60:.0f} minutes: do not edit. The share of runs, in percent, whose two-sided 95 %
interval holds the truth, by n. Where runs are simulated, their number stands above the table; the seed is {_SEED}. Laws of draws of flags
are integrated (`benchmarks/laws.py`), as if a run drew infinitely often; the others are drawn {_DRAWS:,} times by the code of a run.

`e`: the method is exact, and therefore conservative. `*`: too little is expected in this world for an interval to cover what it says; the
criterion stands above each table. "False pass" is the share of runs that pass when the truth lies exactly on the threshold, the most of all n.

## What it shows

{table(("", "holds"), ((one.says, "yes" if one.holds else "**NO**") for one in checks(cells)))}"""
    ]
    for section, (title, about) in SECTIONS.items():
        own = [cell for cell in cells if cell.section == section]
        sizes = sorted({cell.n for cell in own})
        rows: dict[str, dict[int, Cell]] = {}
        for cell in own:
            rows.setdefault(cell.row, {})[cell.n] = cell
        gated = own[0].gated
        body = (
            (
                row,
                *(by_n[n].text if n in by_n else "" for n in sizes),
                *([f"{100 * max(cell.false_pass for cell in by_n.values()):.1f}"] if gated else []),
            )
            for row, by_n in rows.items()
        )
        runs = f" {own[0].runs:,} runs a cell." if own[0].runs else ""
        mark = f" `*`: {REASONS[section]}." if section in REASONS else ""
        header = ("", *(f"n = {n:,}" for n in sizes), *(["false pass"] if gated else []))
        parts.append(f"## {title}\n\n{about}{runs}{mark}\n\n{table(header, body)}")
    return "\n".join(parts)


def measured(
    runs: int, fid_runs: int, sizes: Sequence[int], say: Callable[[str], None]
) -> list[Cell]:
    """All cells of the page."""
    fids = [n for n in sizes if n in _FID_SIZES]
    cells = []
    for found in (
        safety(sizes),
        rates_of_prompts(sizes, runs),
        drifts(sizes),
        drifts_of_prompts(sizes, runs),
        adherence(sizes, runs),
        quality(fids, fid_runs),
        score(sizes, runs),
        corrected(sizes, runs),
    ):
        for cell in found:
            cells.append(cell)
            say(f"{cell.section}: {cell.row}, n = {cell.n}: {cell.text}")
    return cells


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--runs", type=int, default=10_000, help="simulated runs a cell (default: %(default)s)"
    )
    parser.add_argument(
        "--fid-runs",
        type=int,
        default=2000,
        help="the same for FID, which takes its time (default: %(default)s)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="few runs and two n, to see that it works; nothing is written",
    )
    parser.add_argument(
        "--out", type=Path, default=DOCS, help="where coverage.md goes (default: docs)"
    )
    asked = parser.parse_args()

    def say(line: str) -> None:
        print(line, flush=True)  # noqa: T201  a command

    started = time.monotonic()
    cells = (
        measured(300, 40, SIZES[:2], say)
        if asked.quick
        else measured(asked.runs, asked.fid_runs, SIZES, say)
    )
    text = page(cells, "python -m benchmarks.coverage", time.monotonic() - started)
    if asked.quick:
        say(text)
        return
    (asked.out / "coverage.md").write_text(text, encoding="utf-8")
    sys.exit(
        "\n".join(f"Does not hold: {check.says}." for check in checks(cells) if not check.holds)
        or 0
    )


if __name__ == "__main__":
    main()
