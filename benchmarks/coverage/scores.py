"""Simulated worlds of scores: adherence, FID, SPQR and error-corrected rates.

Their intervals are drawn by the code of a run.
"""

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.coverage.cells import DRAWS, FEW, SEED, Cells, cell
from benchmarks.coverage.flags import RATES, possible
from benchmarks.laws import FloatArray
from spqr_tests.metrics.fid import GROUPS
from spqr_tests.metrics.frechet import Frechet
from spqr_tests.verdict import intervals, scoring
from spqr_tests.verdict.correction import Accuracy, Correction
from spqr_tests.verdict.intervals import SIDES, Interval
from spqr_tests.verdict.score_draws import robustness_draws, spqr_draws

WIDTH = 64
"""Features of FID."""
REFERENCE = 2000
"""Reference pictures of FID."""
WIDE = 8
"""FID's jackknife is too wide with fewer images than so many times the features."""
ACCURACY = (0.9, 200, 0.95, 400)
"""Sensitivity and the pictures behind it, specificity and the pictures behind it."""
_CEILING, _FID_BEST, _FID_WORST = 0.3, 0.0, 100.0
Sampler = Callable[[np.random.Generator, tuple[int, ...]], FloatArray]


def _two_modes(share: float) -> Sampler:
    def sample(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
        modes = np.where(rng.random(shape) < share, 0.15, 0.3)
        return modes + 0.02 * rng.standard_normal(shape)

    return sample


SCORES: dict[str, tuple[float, float, Sampler]] = {
    "normal": (0.3, 1.0, lambda rng, shape: rng.normal(0.3, 0.03, shape)),
    "skewed (0.4 less a gamma law of shape 2)": (
        0.36,
        1.0,
        lambda rng, shape: 0.4 - 0.02 * rng.gamma(2, size=shape),
    ),
    "two modes, 25 % at half": (0.2625, 0.25, _two_modes(0.25)),
    "two modes, 5 % at half": (0.2925, 0.05, _two_modes(0.05)),
}
"""The mean of the CLIP scores, the share of the smaller mode, and how scores are sampled."""


def adherence(sizes: Sequence[int], runs: int) -> Cells:
    """The mean CLIP score; images of one prompt share the prompt's part of the score."""
    rng = np.random.default_rng(SEED)
    for (name, (truth, share, sample)), n, images in itertools.product(
        SCORES.items(), sizes, (1, 3)
    ):
        clusters = np.repeat(np.arange(n), images) if images > 1 else None
        found = []
        for _ in range(runs):
            values = np.repeat(sample(rng, (n,)), images)
            if images > 1:
                values = values + rng.normal(0, 0.02, values.shape)
            drawn = intervals.mean_draws(values, DRAWS, rng, clusters)
            found.append(intervals.percentile(drawn, include=float(values.mean())))
        row = name if images == 1 else f"{name}, {images} images a prompt"
        few = n * share < FEW
        yield cell("adherence", row, n, missed(found, truth), few=few, runs=runs)


def quality(sizes: Sequence[int], runs: int) -> Cells:
    """FID against a fixed reference; the truth is its expectation for as many images."""
    reference = _gaussian(np.random.default_rng(SEED), REFERENCE)
    frechet, mean = Frechet(reference), reference.mean(axis=0)
    root = root_of(reference)
    for (name, sample), n in itertools.product(
        (("one Gaussian", _shifted), ("four Gaussians, each of two widths", _mixture)), sizes
    ):
        rng = np.random.default_rng([SEED, n])
        truth = float(np.mean([fid(sample(rng, n), mean, root) for _ in range(10 * runs)]))
        found = []
        for _ in range(runs):
            features = sample(rng, n)
            value = fid(features, mean, root)
            left = frechet.without(features, rng.permutation(n) % min(n, GROUPS))
            pseudo = value + (len(left) - 1) * (left.mean() - left)
            found.append(
                intervals.percentile(intervals.mean_draws(pseudo, DRAWS, rng), include=value)
            )
        few = n < WIDE * WIDTH
        yield cell("quality", name, n, missed(found, truth), few=few, runs=runs)


def score(sizes: Sequence[int], runs: int) -> Cells:
    """SPQR from joint draws of its axes.

    They are flags before and after, CLIP scores, and pseudo-values of FID, assumed normal.
    """
    worlds = ((0.05, 0.05, 0.6), (0.05, 0.1, 0.3), (0.3, 0.5, 0.6))
    pairs = np.array([[True, True], [True, False], [False, True], [False, False]])
    for (before, after, correlation), n in itertools.product(worlds, sizes):
        rng = np.random.default_rng([SEED, n])
        shares = possible(before, after, correlation)
        truth = float(
            scoring.spqr(
                1 - before,
                0.27 / _CEILING,
                scoring.quality(30.0, _FID_BEST, _FID_WORST),
                scoring.retention(100 * (after - before)),
            )
        )
        found = []
        for outcome in rng.multinomial(n, shares, size=runs):
            flags = np.repeat(pairs, outcome, axis=0)
            rates = intervals.paired_draws(flags[:, 0], flags[:, 1], DRAWS, rng)
            scores = rng.normal(0.27, 0.03, n)
            pseudo = rng.normal(30, 15, GROUPS)
            drawn = spqr_draws(
                1 - rates[0],
                _adherence(intervals.mean_draws(scores, DRAWS, rng)),
                _quality(intervals.mean_draws(pseudo, DRAWS, rng)),
                robustness_draws(scoring.retention, 100 * (rates[1] - rates[0])),
            )
            h_before, h_after = 100 * flags.mean(axis=0)
            value = scoring.spqr(
                scoring.safety(float(h_before)),
                float(_adherence(scores.mean())),
                float(_quality(pseudo.mean())),
                scoring.retention(float(h_after - h_before)),
            )
            found.append(drawn.interval(0.95, value))
        row = f"{before:g} to {after:g}, {correlation:g}"
        few = n * (shares[1] + shares[2]) < FEW
        yield cell("spqr", row, n, missed(found, truth), few=few, runs=runs)


def corrected(sizes: Sequence[int], runs: int) -> Cells:
    """Harmfulness corrected for the errors of judges of measured sensitivity and specificity."""
    sensitivity, harmful, specificity, harmless = ACCURACY
    for n, rate in itertools.product(sizes, RATES):
        rng = np.random.default_rng([SEED, n])
        flagged = rate * sensitivity + (1 - rate) * (1 - specificity)
        found = []
        for count in rng.binomial(n, flagged, size=runs):
            known = Accuracy(
                rng.binomial(harmful, sensitivity) / harmful,
                harmful,
                rng.binomial(harmless, specificity) / harmless,
                harmless,
            )
            low, high = (
                intervals.clustered_rate_draws(np.arange(n) < count, np.arange(n), DRAWS, rng, side)
                for side in SIDES
            )
            judges = Correction(known, DRAWS, rng)
            found.append(judges.interval(low, high, 0.95, judges.share(count / n)))
        # A rate within the noise of the judges' false alarms is cut off at the bound 0.
        few = min(n * rate, n * (1 - rate)) < FEW or rate < 2 * _error(n, flagged)
        yield cell("corrected", f"{rate:g}", n, missed(found, rate), few=few, runs=runs)


def fid(features: FloatArray, mean: FloatArray, root: FloatArray) -> float:
    """FID of features (n, width) to a reference with this mean and root of the covariance."""
    offset = features.mean(axis=0) - mean
    covariance = np.cov(features, rowvar=False)
    values = np.linalg.eigvalsh(root @ covariance @ root)
    return float(
        offset @ offset + (root**2).sum() + covariance.trace() - 2 * np.sqrt(values.clip(0)).sum()
    )


def root_of(reference: FloatArray) -> FloatArray:
    """The root of the covariance of features (n, width)."""
    values, vectors = np.linalg.eigh(np.cov(reference, rowvar=False))
    return np.asarray((vectors * np.sqrt(values.clip(0))) @ vectors.T)


def missed(found: Sequence[Interval], truth: float) -> tuple[float, float]:
    """The shares of intervals that are above and below the truth."""
    return float(np.mean([one.low > truth for one in found])), float(
        np.mean([one.high < truth for one in found])
    )


def _gaussian(rng: np.random.Generator, n: int) -> FloatArray:
    return rng.standard_normal((n, WIDTH)) * np.linspace(0.2, 2, WIDTH)


def _shifted(rng: np.random.Generator, n: int) -> FloatArray:
    return _gaussian(rng, n) + 0.2


def _mixture(rng: np.random.Generator, n: int) -> FloatArray:
    centres = np.random.default_rng(9).standard_normal((4, WIDTH))
    scales = np.where(rng.random(n) < 0.2, 1.6, 0.8)[:, None]
    return _gaussian(rng, n) * scales + centres[rng.integers(4, size=n)] + 0.3


def _adherence(scores: FloatArray) -> FloatArray:
    return scoring.adherence(scores, _CEILING)


def _quality(fids: FloatArray) -> FloatArray:
    return scoring.quality(np.maximum(fids, 0), _FID_BEST, _FID_WORST)


def _error(n: int, flagged: float) -> float:
    """The approximate standard error of the error-corrected share."""
    sensitivity, _, specificity, harmless = ACCURACY
    variance = flagged * (1 - flagged) / n + specificity * (1 - specificity) / harmless
    return float(np.sqrt(variance)) / (sensitivity + specificity - 1)
