"""Power of decisions on SPQR, by simulation; P and Q, which other prompts measure, are given."""

import math
from dataclasses import dataclass

import numpy as np

from spqr_tests.verdict import intervals, power_drift, prompt_counts, scoring
from spqr_tests.verdict.power import Counts, most_drift, pairs
from spqr_tests.verdict.power_drift import Trained
from spqr_tests.verdict.score_draws import robustness_draws, spqr_draws
from spqr_tests.verdict.scoring import FloatArray, RobustnessFormula

_DRAWS = 4000
_SEED = 20251119
_REPETITIONS = 1600


@dataclass(frozen=True)
class Others:
    """What SPQR depends on in addition to the harmful prompts' flags."""

    adherence_error: float
    """The standard error of P."""
    quality_error: float
    """The standard error of Q."""
    quality_most: float
    """The greatest possible Q, 1 - eps."""
    formula: RobustnessFormula = scoring.retention
    weights: tuple[float, float, float, float] = (1, 1, 1, 1)

    @property
    def limits(self) -> tuple[float, float, float, float]:
        """The greatest S, P and Q, and R without drift."""
        return 1.0, 1.0, self.quality_most, float(self.formula(0.0))


def balanced(score: float, others: Others) -> tuple[float, float, float, float]:
    """The axes S, P, Q and R of a checkpoint with this SPQR: equal, up to each axis's limit.

    A `score` that is out of reach gives the limits.
    """
    limits, weights = np.array(others.limits), np.array(others.weights, dtype=float)
    axes = np.minimum(score, limits)
    for _ in axes:
        full = axes >= limits
        left = weights.sum() / score - (weights / limits)[full].sum() if score > 0 else math.inf
        if full.all():
            break
        axes[~full] = weights[~full].sum() / left if left > 0 else 1.0
        axes = np.minimum(axes, limits)
    return tuple(float(axis) for axis in axes)  # type: ignore[return-value]


def spqr_power(
    n: int,
    truth: float,
    least: float,
    correlation: float,
    others: Others,
    confidence: float = 0.95,
    trained: Trained | None = None,
    *,
    clustered: bool = False,
) -> float:
    """The probability that SPQR's lower bound reaches `least` with `n` harmful prompts.

    The true axes are the `balanced` ones of `truth`, and `correlation` is that of the flags before
    and after. `trained` has the trainings that the fine-tune is measured by; None for a ready
    adapter. The result comes from a simulation with a fixed seed, to within about 1.5 percentage
    points: it simulates outcomes of the pairs and of P and Q, which are assumed normal, and
    computes each outcome's percentile interval from draws of the law of `paired_draws`. A delta
    method would be too optimistic by ten points or more below a hundred prompts, since the harmonic
    mean is not linear.
    """
    rng = np.random.default_rng(_SEED)
    axes = balanced(truth, others)
    drift = min(1.0, max(0.0, most_drift(axes[3], others.formula) / 100))
    found = pairs(1 - axes[0], drift, correlation)
    draws = intervals.enough_draws(confidence) // 2
    if trained is not None:
        made = power_drift.simulate(n, found, trained, clustered=clustered, confidence=confidence)
        return _share(made.before, made.after, axes, others, confidence, least, rng)
    shares = np.array(
        [found.both, found.lost, found.gained, 1 - found.both - found.lost - found.gained]
    )
    counts = rng.multinomial(n, shares.clip(0) / shares.clip(0).sum(), size=_REPETITIONS)
    # Only five draws beyond the bound: the many outcomes average the noise out.
    before, after = _pair_draws(
        counts, draws, rng, prompt_counts.counted(n) / n if clustered else 1.0
    )
    return _share(before, after, axes, others, confidence, least, rng)


def _share(
    before: FloatArray,
    after: FloatArray,
    axes: tuple[float, float, float, float],
    others: Others,
    confidence: float,
    least: float,
    rng: np.random.Generator,
) -> float:
    """The share of outcomes whose lower bound reaches `least`, from draws (outcomes, draws)."""
    outcomes = len(before)
    p, q = (
        (
            axis + error * (rng.standard_normal((outcomes, 1)) + rng.standard_normal(before.shape))
        ).clip(0, most)
        for axis, error, most in (
            (axes[1], others.adherence_error, 1.0),
            (axes[2], others.quality_error, others.quality_most),
        )
    )
    drawn = spqr_draws(
        1 - before,
        p,
        q,
        robustness_draws(others.formula, np.clip(100 * (after - before), -100, 100)),
        others.weights,
    ).low
    # With few draws, numpy's default quantile is too far inside.
    lows = np.quantile(drawn, (1 - confidence) / 2, axis=1, method="normal_unbiased")
    return float((lows >= least).mean())


def _pair_draws(
    counts: Counts, draws: int, rng: np.random.Generator, each: float
) -> tuple[FloatArray, FloatArray]:
    """Draws (outcomes, draws) of the rates before and after, as `paired_draws` makes them.

    `counts` (outcomes, 4) are of both, lost, gained and neither; each pair counts as `each`.
    """
    shape = (len(counts), draws)
    weights = [rng.standard_gamma(each * column[:, None], size=shape) for column in counts.T]
    lost, gained, unchanged = (
        rng.standard_gamma(1.0, size=shape) * rng.integers(2, size=shape) for _ in range(3)
    )
    is_both = rng.integers(2, size=shape)
    hypothetical = (unchanged * is_both, lost, gained, unchanged * (1 - is_both))
    both, lost, gained, neither = (
        weight + extra for weight, extra in zip(weights, hypothetical, strict=True)
    )
    total = both + lost + gained + neither
    return (both + lost) / total, (both + gained) / total


def best_spqr(
    n: int,
    others: Others,
    confidence: float = 0.95,
    trained: Trained | None = None,
    *,
    clustered: bool = False,
) -> float:
    """SPQR's lower bound in the best case.

    None of `n` prompts is flagged before or after, P is 1 and Q is at its greatest.
    """
    prompts = np.repeat(np.arange(n), 2 if clustered else 1)
    none = np.zeros(len(prompts), dtype=bool)
    before, after = intervals.paired_draws(
        none, none, _DRAWS, np.random.default_rng(_SEED), prompts
    )
    best = np.full(_DRAWS, others.quality_most)
    if trained is not None:
        spread = trained.spread.with_trainings([0.0] * trained.count)
        after = spread.moved(after, trained.count, np.random.default_rng(_SEED))
    retained = robustness_draws(others.formula, 100 * (after - before))
    drawn = spqr_draws(
        scoring.safety(100 * before), np.ones(_DRAWS), best, retained, others.weights
    ).low
    return intervals.percentile(drawn, confidence).low
