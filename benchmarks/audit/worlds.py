"""Worlds with known truth, and audits of them."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from benchmarks.audit.rows import Row
from spqr_tests.verdict.audit import Audit, Share, Stratum, allocation, effective_n
from spqr_tests.verdict.correction import Accuracy, Correction
from spqr_tests.verdict.intervals import Side
from spqr_tests.verdict.scoring import FloatArray

IMAGES = 8000
LABELS = 200
_DRAWS = 500
_PATTERNS: tuple[frozenset[str], ...] = (
    frozenset(),
    frozenset("a"),
    frozenset("b"),
    frozenset("ab"),
)
_HARMFUL = (0.25, 0.15, 0.6)
_HARMLESS = (0.6, 0.35, 0.05)
"""Of the images that any judge flags, those that judge a alone, b alone and both flag."""


@dataclass(frozen=True)
class World:
    """Shares in [0, 1]: of harmful images, and how often any of two judges is right."""

    prevalence: float
    sensitivity: float
    specificity: float

    def strata(self) -> tuple[NDArray[np.int64], FloatArray]:
        """By pattern of flags the number of images, and the share of harmful ones."""
        harmful = self.prevalence * np.array(
            [1 - self.sensitivity, *(self.sensitivity * one for one in _HARMFUL)]
        )
        false = 1 - self.specificity
        harmless = (1 - self.prevalence) * np.array(
            [self.specificity, *(false * one for one in _HARMLESS)]
        )
        sizes = np.maximum(np.rint(IMAGES * (harmful + harmless)), 1).astype(np.int64)
        return sizes, harmful / (harmful + harmless)


WORLDS = tuple(
    World(*one) for one in product((0.02, 0.1, 0.5), (0.6, 0.8, 0.98), (0.8, 0.95, 0.995))
)
DESIGNS = ("the command's", "equal")


class MidP(Audit):
    """The same without leaning: each stratum's share is from the even mixture of both laws."""

    def _of(self, rising: NDArray[np.bool_], toward: Side) -> FloatArray:
        del rising, toward
        lower, upper = self._laws
        tossed = self._rng.random(lower.shape) < 0.5
        return np.where(tossed, upper, lower)


def simulate(world: World, design: str, runs: int, seed: int) -> Row:
    """Audit a world `runs` times."""
    sizes, shares = world.strata()
    truth = _Truth(sizes, shares)
    taken = _taken(design, [int(size) for size in sizes])
    rng = np.random.default_rng(seed)
    covered: dict[str, int] = dict.fromkeys(
        ("sensitivity", "specificity", "mid_p_sensitivity", "mid_p_specificity"), 0
    )
    widths = {"sensitivity": 0.0, "specificity": 0.0, "mid_p_sensitivity": 0.0}
    alone: Counter[tuple[str, str]] = Counter()
    corrected, correctable = 0, 0
    for _ in range(runs):
        strata = _labelled(sizes, shares, taken, rng)
        audit, other = Audit(strata, rng, _DRAWS), MidP(strata, rng, _DRAWS)
        sensitivity, specificity = audit.sensitivity(), audit.specificity()
        covered["sensitivity"] += _holds(sensitivity, truth.sensitivity(None))
        covered["specificity"] += _holds(specificity, truth.specificity(None))
        widths["sensitivity"] += sensitivity.interval.width
        widths["specificity"] += specificity.interval.width
        for judge in "ab":
            alone["sensitivity", judge] += _holds(
                audit.sensitivity(judge), truth.sensitivity(judge)
            )
            alone["specificity", judge] += _holds(
                audit.specificity(judge), truth.specificity(judge)
            )
        mid_p = other.sensitivity()
        covered["mid_p_sensitivity"] += _holds(mid_p, truth.sensitivity(None))
        covered["mid_p_specificity"] += _holds(other.specificity(), truth.specificity(None))
        widths["mid_p_sensitivity"] += mid_p.interval.width
        stated = _stated(sensitivity, specificity)
        if stated is not None:
            correctable += 1
            corrected += _corrects(stated, truth, rng)
    return Row(
        prevalence=world.prevalence,
        true_sensitivity=world.sensitivity,
        true_specificity=world.specificity,
        design=design,
        labels=sum(taken),
        judges=min(alone.values()) / runs,
        width_sensitivity=round(widths["sensitivity"] / runs, 4),
        width_specificity=round(widths["specificity"] / runs, 4),
        width_mid_p=round(widths["mid_p_sensitivity"] / runs, 4),
        correctable=correctable / runs,
        corrected=corrected / correctable if correctable else None,
        **{name: count / runs for name, count in covered.items()},
    )


class _Truth:
    """What the audits of a world estimate."""

    def __init__(self, sizes: NDArray[np.int64], shares: FloatArray) -> None:
        self.weights, self.shares = sizes / sizes.sum(), shares
        self.prevalence = float(self.weights @ shares)
        self.flagged = float(self.weights[1:].sum())

    def sensitivity(self, judge: str | None) -> float:
        harmful = self.weights * self.shares
        return float(harmful[self._by(judge)].sum() / harmful.sum())

    def specificity(self, judge: str | None) -> float:
        harmless = self.weights * (1 - self.shares)
        return float(harmless[~self._by(judge)].sum() / harmless.sum())

    def _by(self, judge: str | None) -> NDArray[np.bool_]:
        return np.array([bool(one) if judge is None else judge in one for one in _PATTERNS])


def _taken(design: str, sizes: list[int]) -> list[int]:
    if design == "equal":
        return [min(size, LABELS // len(sizes)) for size in sizes]
    return allocation(sizes, [bool(one) for one in _PATTERNS], LABELS)


def _labelled(
    sizes: NDArray[np.int64], shares: FloatArray, taken: list[int], rng: np.random.Generator
) -> list[Stratum]:
    harmful = rng.binomial(taken, shares)
    return [
        Stratum(pattern, int(size), int(k), int(n - k))
        for pattern, size, n, k in zip(_PATTERNS, sizes, taken, harmful, strict=True)
    ]


def _holds(found: Share, truth: float) -> bool:
    return found.interval.low <= truth <= found.interval.high


def _stated(sensitivity: Share, specificity: Share) -> Accuracy | None:
    """What the command would print for the protocol; None where it prints nothing."""
    shares = []
    for one in (sensitivity, specificity):
        value = None if one.value is None else round(one.value, 4)
        n = None if value is None else effective_n(value, one.interval)
        if value is None or n is None or value <= 0.5:
            return None
        shares += [value, n]
    return Accuracy(shares[0], int(shares[1]), shares[2], int(shares[3]))


def _corrects(stated: Accuracy, truth: _Truth, rng: np.random.Generator) -> bool:
    correction = Correction(stated, _DRAWS, rng)
    every = np.full(_DRAWS, truth.flagged)
    found = correction.interval(every, every, 0.95, correction.share(truth.flagged))
    return found.low <= truth.prevalence <= found.high


def cases() -> Iterator[tuple[World, str]]:
    """All worlds under the command's design, and some under another."""
    yield from ((world, DESIGNS[0]) for world in WORLDS)
    yield from ((world, DESIGNS[1]) for world in WORLDS if world.specificity == 0.95)
