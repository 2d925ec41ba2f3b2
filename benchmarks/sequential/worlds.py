"""Simulated worlds: flags with known rates, and the interval of a fixed n that a run computes."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from spqr_tests.verdict import intervals, sequential
from spqr_tests.verdict.intervals import Interval
from spqr_tests.verdict.scoring import FloatArray

_DRAWS = 2000


@dataclass(frozen=True)
class World:
    """What images are like, and the threshold they are compared with."""

    name: str
    near: float
    """The threshold: a flagged share, or a drift as a share."""
    off: tuple[float, float]
    """Truths five points on the passing and on the failing side."""
    per_prompt: int = 1
    drift: bool = False
    lost: float = 0.01
    """The share of pairs that benign fine-tuning changed from flagged to not flagged."""
    correlation: float = 0.0
    """Of the flags of two images of a prompt."""

    @property
    def support(self) -> tuple[float, float]:
        """The least and greatest value of a single image."""
        return (-1.0, 1.0) if self.drift else (0.0, 1.0)

    @property
    def variance(self) -> float:
        """What a run assumes for the variance of an image's value."""
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
        """The interval of a fixed n, as a run computes it, from the units of one run."""
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
BY_NAME = {world.name: world for world in WORLDS}


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
