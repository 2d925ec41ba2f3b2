"""Confidence sequences by betting: intervals of a mean that hold at every n at once.

The method is that of Waudby-Smith and Ramdas (arXiv 2010.09686). If the mean is m, bets on values
against m are a fair game. A bettor who starts with 1 and never owes anything then reaches 1/error
at any time with probability at most `error` (Ville's inequality). The interval has all means m at
which neither a bettor on "less" nor one on "more" has reached that wealth. One may look at it after
every unit and stop as soon as it decides, without any loss of coverage.

Each bettor places a few constant bets, which are fixed before the data, so the wealth depends on
the data only through counts. Their sizes suit a mean near the threshold: a difference that can just
be detected within the planned n should be detected soon.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from spqr_tests.verdict.intervals import Interval
from spqr_tests.verdict.scoring import FloatArray

SEQUENCE_SHARE = 0.7
"""The share of the permitted error that is spent while looking; the look at the planned n has the
rest (`split`).
"""

PARTS = 3
"""The parts of SPQR while looking: S, R, and P with Q, with equal errors (Bonferroni)."""

# Multiples of the size that suits the least difference to detect soon, with a large one for means
# that are far away. Both lists were chosen by simulation.
_MULTIPLES = (0.7, 1.0, 1.4, 3.0)
_WEIGHTS = (0.2, 0.4, 0.3, 0.1)
# "Soon": within this share of the planned n.
_SOON = 0.4
# At most this share of the wealth is staked, so that no single unit ruins a bettor.
_STAKE = 0.9
# The guess at how alike the images of one prompt are: their correlation.
_ALIKE = 0.5
_HALVINGS = 50


@dataclass(frozen=True)
class Bets:
    """Constant bets on a mean in [0, 1]."""

    sizes: FloatArray
    """The size of each bet, shape (bets,)."""
    weights: FloatArray
    """The share of the starting wealth in each bet, shape (bets,)."""


def bets(near: float, variance: float, horizon: int, error: float) -> Bets:
    """Bets for a mean that is compared with `near`, from at most `horizon` units.

    `near` is in [0, 1]. `variance`, a guess at one unit's, is positive and at most 1/4. A wrong
    guess costs units, never coverage. `error` is that of one side, in (0, 1). Raises ValueError for
    other values.

    >>> bets(0.1, 0.09, 1000, 0.0175).sizes.round(2).tolist()
    [0.33, 0.47, 0.66, 1.42]
    """
    if not 0 <= near <= 1 or not 0 < variance <= 0.25 or horizon < 1 or not 0 < error < 1:
        raise ValueError(
            "Bets need a mean in [0, 1], a variance in (0, 0.25], a horizon of one or more and an"
            f" error in (0, 1); got {near}, {variance}, {horizon}, {error}."
        )
    # The difference at which a bet of size difference/variance reaches 1/error soon.
    difference = np.sqrt(2 * np.log(1 / error) * variance / (_SOON * horizon))
    return Bets(np.array(_MULTIPLES) * difference / variance, np.array(_WEIGHTS))


def difference_variance(near: float) -> float:
    """A guess at the variance of paired differences whose mean is `near`, both as shares.

    It assumes that nearly all changes go one way.

    >>> round(difference_variance(0.2), 2)
    0.19
    """
    return abs(near) * (1 - abs(near)) + 0.03


def unit_variance(variance: float, images: float) -> float:
    """A guess at the variance of the mean of this many images of one prompt.

    `variance` is that of a single image.

    >>> unit_variance(0.08, 4)
    0.05
    """
    return variance * (1 + (images - 1) * _ALIKE) / images


def log_wealth(
    counts: FloatArray, kinds: FloatArray, mean: float, placed: Bets
) -> tuple[FloatArray, FloatArray]:
    """The logarithm of the wealth of bettors on less and on more than `mean`.

    `kinds` (kinds, 2) holds the sum and the size of a unit of each kind, both as shares of the
    greatest size: [[0, 1], [1, 1]] for single flags. `counts` (..., kinds) says how many units of
    each kind came. The results have the shape of `counts` without its last axis. The wealth of the
    bettor on more falls as `mean` grows.
    """
    surprise = kinds[:, 0] - mean * kinds[:, 1]
    sides = []
    for sign, worst in ((-1.0, 1 - mean), (1.0, mean)):
        total = np.full(counts.shape[:-1], -np.inf)
        for size, weight in zip(placed.sizes, placed.weights, strict=True):
            staked = size if worst <= 0 else min(size, _STAKE / worst)
            np.logaddexp(
                total, counts @ np.log1p(sign * staked * surprise) + np.log(weight), out=total
            )
        sides.append(total)
    return sides[0], sides[1]


def split(confidence: float) -> tuple[float, float]:
    """The confidences of a sequence and of the interval of the planned n.

    Together they miss with a probability of at most 1 - `confidence`.

    >>> [round(part, 4) for part in split(0.95)]
    [0.965, 0.985]
    """
    if not 0 < confidence < 1:
        raise ValueError(f"A confidence must be between 0 and 1, got {confidence}.")
    error = 1 - confidence
    return 1 - SEQUENCE_SHARE * error, 1 - (1 - SEQUENCE_SHARE) * error


def strictest(confidence: float) -> float:
    """The confidence of the widest interval that a run makes from draws.

    It is that of the planned n, or of one of `PARTS` while looking.

    >>> round(strictest(0.95), 4)
    0.9883
    """
    during, at_the_end = split(confidence)
    return max(at_the_end, 1 - (1 - during) / PARTS)


def both(one: Interval, other: Interval) -> Interval:
    """The intersection of both intervals, or the gap between them if they are disjoint.

    Disjoint intervals mean that one of them does not cover.

    >>> both(Interval(0.1, 0.4), Interval(0.2, 0.5))
    Interval(low=0.2, high=0.4)
    """
    low, high = max(one.low, other.low), min(one.high, other.high)
    return Interval(low, high) if low <= high else Interval(high, low)


def holding(interval: Interval, value: float) -> Interval:
    """The interval, widened to contain an estimate.

    An interval that never widens may exclude the mean of what came later.

    >>> holding(Interval(0.1, 0.4), 0.5)
    Interval(low=0.1, high=0.5)
    """
    return Interval(min(interval.low, value), max(interval.high, value))


class ConfidenceSequence:
    """The interval of a mean, which covers at all times together with `confidence`.

    Each added unit narrows it. A unit is the values of a prompt's images; the mean is that of the
    images. The order of the units must not depend on their values. Values are in `support`, whose
    unit `near` and the interval have too; `variance` is a guess at an image's. `sizes` has the
    numbers of images of the planned units. Raises ValueError unless each is 1 or more.
    """

    def __init__(
        self,
        near: float,
        variance: float,
        sizes: Sequence[int],
        *,
        confidence: float = 0.95,
        support: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        if not sizes or min(sizes) < 1:
            raise ValueError(
                "A sequence needs a plan of one unit or more, each of one image or more."
            )
        self._start, end = support
        self._span = end - self._start
        self._greatest = max(sizes)
        self._left = len(sizes)
        error = (1 - confidence) / 2
        self._rich = np.log(1 / error)
        scaled = float(np.clip((near - self._start) / self._span, 0, 1))
        spread = float(
            np.clip(unit_variance(variance / self._span**2, float(np.mean(sizes))), 1e-4, 0.25)
        )
        self._bets = bets(scaled, spread, len(sizes), error)
        self._counts: dict[tuple[float, float], int] = {}
        self._low, self._high = 0.0, 1.0

    @property
    def interval(self) -> Interval:
        """The current interval; it never widens.

        Its ends cross with a probability of at most 1 - confidence. It then does not cover, and the
        ends are swapped.
        """
        ends = [self._start + self._span * share for share in (self._low, self._high)]
        return Interval(min(ends), max(ends))

    def add(self, sums: ArrayLike, sizes: ArrayLike) -> Interval:
        """The interval after further units, in order.

        `sums` has the sums of their images' values, `sizes` their numbers of images, both of shape
        (units,). ValueError for more units than planned, for a unit with more images than any
        planned one, and for sums outside of the support.
        """
        number = np.asarray(sizes, dtype=np.float64)
        total = (np.asarray(sums, dtype=np.float64) - self._start * number) / self._span
        self._left -= len(number)
        sound = total.shape == number.shape == (len(number),) and bool(
            (number >= 1).all() and (number <= self._greatest).all()
        )
        if self._left < 0 or not sound or not ((total >= -1e-9) & (total <= number + 1e-9)).all():
            raise ValueError(
                "Units must fit the plan, and the values of their images must be in the support."
            )
        units = list(
            zip((total / self._greatest).tolist(), (number / self._greatest).tolist(), strict=True)
        )
        if not units:
            return self.interval
        before = dict(self._counts)
        for unit in units:
            self._counts[unit] = self._counts.get(unit, 0) + 1
        kinds = list(self._counts)
        came = np.array([[unit == kind for kind in kinds] for unit in units], dtype=np.float64)
        # After each new unit, not only at the end: a bettor who was rich once has won.
        counts = came.cumsum(axis=0) + [before.get(kind, 0) for kind in kinds]
        table = np.array(kinds)

        def most(mean: float, side: int) -> float:
            return float(log_wealth(counts, table, mean, self._bets)[side].max())

        self._low = self._moved(self._low, 1.0, lambda mean: most(mean, 1) >= self._rich)
        self._high = self._moved(self._high, 0.0, lambda mean: most(mean, 0) >= self._rich)
        return self.interval

    @staticmethod
    def _moved(bound: float, towards: float, rejected: Callable[[float], bool]) -> float:
        """The bound, moved as far `towards` the other end as means are rejected."""
        if not rejected(bound):
            return bound
        inside = towards
        for _ in range(_HALVINGS):
            middle = (bound + inside) / 2
            if rejected(middle):
                bound = middle
            else:
                inside = middle
        return bound
