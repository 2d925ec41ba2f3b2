"""Simulated outcomes of fine-tunings whose prompts and trainings are both random.

The interval of a drift takes in a spread between trainings, and the true drift of the trainings
that happen to be run is not the mean over all of them. Both make decisions harder, and neither has
a closed form: outcomes are simulated, and the interval of each is made as the axes make it.
"""

from dataclasses import dataclass

import numpy as np

from spqr_tests.verdict import intervals, prompt_counts, trainings
from spqr_tests.verdict.power import Pairs
from spqr_tests.verdict.scoring import FloatArray
from spqr_tests.verdict.trainings import Spread

REPETITIONS = 800
_FEWEST, _MOST_FLAGS = 200, 200_000
_SEED = 20251119


@dataclass(frozen=True)
class Trained:
    """The trainings of a variant: their number, and the spread that the protocol states."""

    count: int
    spread: Spread


@dataclass(frozen=True)
class Outcomes:
    """Simulated outcomes, with draws for each, as the axes would make them."""

    before: FloatArray
    """Draws of the flagged share before fine-tuning, shape (outcomes, draws)."""
    after: FloatArray
    """The same after it, over all trainings."""
    h_before: FloatArray
    """The measured share before, shape (outcomes,)."""
    h_after: FloatArray
    """The measured share after, shape (outcomes,)."""
    toward: tuple[FloatArray, FloatArray] | None = None
    """The draws before and after that bounds of a ready adapter are taken of, toward 1."""

    def drift_high(self, confidence: float) -> FloatArray:
        """The upper bound of the drift in each outcome, as a share, shape (outcomes,)."""
        before, after = self.toward or (self.before, self.after)
        return _high(after - before, confidence, self.h_after - self.h_before)

    def after_high(self, confidence: float) -> FloatArray:
        """The upper bound of the share after, shape (outcomes,)."""
        _, after = self.toward or (self.before, self.after)
        return _high(after, confidence, self.h_after)


def _high(draws: FloatArray, confidence: float, value: FloatArray) -> FloatArray:
    # With few draws, numpy's default quantile is too far inside.
    found = np.quantile(draws, (1 + confidence) / 2, axis=1, method="normal_unbiased")
    return np.asarray(np.maximum(found, value), dtype=np.float64)


def simulate(
    n: int,
    truth: Pairs,
    trained: Trained | None,
    *,
    clustered: bool = False,
    outcomes: int | None = None,
    draws: int | None = None,
    confidence: float = 0.95,
) -> Outcomes:
    """Outcomes of `n` prompts of a fine-tuning whose true cells, over all trainings, are `truth`.

    `trained` is None for a ready adapter. The seed is fixed, so that equal questions have equal
    answers. With `clustered`, a prompt has several images, which are all flagged or none.
    """
    rng = np.random.default_rng(_SEED)
    # Only five draws beyond the bound: the many outcomes average the noise out.
    size = draws or intervals.enough_draws(confidence) // 2
    # Many prompts vary less, and fewer outcomes say as much.
    number = outcomes or max(_FEWEST, min(REPETITIONS, _MOST_FLAGS // n))
    shift = np.zeros((number, 1))
    if trained is not None:
        shift = effects(truth.both + truth.gained, trained, rng, number)
    made = flags(n, truth, shift, rng)
    return drawn(*made, trained, rng, size, clustered=clustered)


def effects(share: float, trained: Trained, rng: np.random.Generator, outcomes: int) -> FloatArray:
    """What trainings add to a flagged share, in [0, 1], shape (outcomes, trainings)."""
    angle = trainings.centre(share, trained.spread)
    drawn = rng.normal(angle, trained.spread.angle, (outcomes, trained.count))
    # An angle that leaves the quadrant is reflected there, as sin^2 does it.
    return np.asarray(np.sin(drawn) ** 2 - share, dtype=np.float64)


def flags(
    n: int, truth: Pairs, shift: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Flags (outcomes, n) before, and after each training (outcomes, trainings, n)."""
    h = truth.both + truth.lost
    before = rng.random((len(shift), n)) < h
    stays = truth.both / h if h > 0 else 0.0
    comes = truth.gained / (1 - h) if h < 1 else 0.0
    chance = np.where(before, stays, comes)[:, None, :] + shift[:, :, None]
    after = rng.random(chance.shape) < chance
    return before.astype(np.float64), after.astype(np.float64)


def drawn(
    before: FloatArray,
    after: FloatArray,
    trained: Trained | None,
    rng: np.random.Generator,
    size: int,
    *,
    clustered: bool = False,
) -> Outcomes:
    """The draws of the flags (outcomes, n) before and after (outcomes, trainings, n)."""
    outcomes, count, n = after.shape
    each = prompt_counts.counted(n) / n if clustered or count > 1 else 1.0
    # A kind of prompt is flagged before or not, and after so many of its trainings.
    kinds = (before * (count + 1) + after.sum(axis=1)).astype(np.int64)
    shape = (outcomes, size)
    total, first, second = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for kind in range(2 * (count + 1)):
        number = (kinds == kind).sum(axis=1)
        if not number.any():
            continue
        was, times = divmod(kind, count + 1)
        weight = rng.standard_gamma(each * number[:, None], size=shape)
        total += weight
        first += weight * was
        second += weight * times / count
    # Hypothetical prompts, as in `intervals.paired_draws`: by the toss of a coin, one is flagged
    # more often after, one more often before, and one is not changed.
    change = np.abs(after.sum(axis=1) - count * before)
    typical = (count**2 + (change**2).sum(axis=1)) / (count + change.sum(axis=1)) / count
    more = rng.standard_gamma(1.0, size=shape)
    toward = None
    if trained is None:
        toward = first / (total + more), (second + more * typical[:, None]) / (total + more)
    gained = more * rng.integers(2, size=shape)
    lost, unchanged = (
        rng.standard_gamma(1.0, size=shape) * rng.integers(2, size=shape) for _ in range(2)
    )
    flagged = rng.integers(2, size=shape)
    total += gained + lost + unchanged
    first += lost * typical[:, None] + unchanged * flagged
    second += gained * typical[:, None] + unchanged * flagged
    return Outcomes(
        first / total,
        _moved(second / total, after, trained, rng),
        before.mean(axis=1),
        after.mean(axis=(1, 2)),
        toward,
    )


def _moved(
    shares: FloatArray, after: FloatArray, trained: Trained | None, rng: np.random.Generator
) -> FloatArray:
    """Draws (outcomes, size) of the share over all trainings, as `Spread.moved` makes them."""
    if trained is None:
        return shares
    stated, more = trained.spread, after.shape[1] - 1
    squares = np.full(len(after), stated.freedom * stated.angle**2)
    if more:
        squares += more * trainings.angles(after.mean(axis=2)).var(axis=1, ddof=1)
    freedom = stated.freedom + more
    reach = np.sqrt(squares / freedom / after.shape[1])[:, None]
    drawn = reach * rng.standard_t(freedom, size=shares.shape)
    return trainings.shares_of(trainings.angles(shares) + drawn)


@dataclass(frozen=True)
class Question:
    """What is asked of the power of a fine-tune's case, but for n."""

    truth: Pairs
    most: float
    """The greatest drift, or share after, that meets the threshold; a share."""
    trained: Trained | None
    confidence: float = 0.95
    clustered: bool = False

    def _simulated(self, n: int) -> Outcomes:
        return simulate(
            n, self.truth, self.trained, clustered=self.clustered, confidence=self.confidence
        )

    def drift_power(self, n: int) -> float:
        """The probability that the drift's upper bound from `n` prompts is at most `most`."""
        return float((self._simulated(n).drift_high(self.confidence) <= self.most).mean())

    def after_power(self, n: int) -> float:
        """The same of the upper bound of the share after."""
        return float((self._simulated(n).after_high(self.confidence) <= self.most).mean())


def best_high(
    n: int, trained: Trained | None, confidence: float = 0.95, *, clustered: bool = False
) -> float:
    """The upper bound of the drift, or of the share after, if no image is ever flagged."""
    count = trained.count if trained is not None else 1
    found = drawn(
        np.zeros((1, n)),
        np.zeros((1, count, n)),
        trained,
        np.random.default_rng(_SEED),
        20 * intervals.enough_draws(confidence),
        clustered=clustered,
    )
    return float(found.drift_high(confidence)[0])
