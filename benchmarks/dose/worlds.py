"""Simulated curves: what the band, the greatest drift and the first step above a drift cover."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from benchmarks.dose.rows import Cell
from spqr_tests.verdict import dose
from spqr_tests.verdict.dose import Band
from spqr_tests.verdict.scoring import FloatArray

SEED = 20261126
SIZES = (60, 120, 240, 511, 1000)
CONFIDENCE = 0.95
_ALIKE = 0.5
"""Correlation of what decides the flags of two images of one prompt, where there are several."""
_FEW = 7
_DIGITS = 4

Booleans = NDArray[np.bool_]


@dataclass(frozen=True)
class World:
    """True shares: flagged before, and of the others newly flagged and no longer flagged by step.

    With `churn` each step flags images of its own; otherwise an image that is flagged at a step is
    so at every later one.
    """

    name: str
    before: float
    newly: FloatArray
    no_longer: float = 0.0
    images: int = 1
    churn: bool = False

    @property
    def truth(self) -> FloatArray:
        """The drift at each step, in points."""
        return np.asarray(100 * ((1 - self.before) * self.newly - self.before * self.no_longer))

    def flags(
        self, prompts: int, rng: np.random.Generator
    ) -> tuple[Booleans, Booleans, NDArray[np.int64]]:
        """Flags before (images,) and at each step (k, images), and the prompt of each image."""
        k, n = len(self.newly), prompts * self.images
        before = self._uniform(prompts, 1, rng)[0] < self.before
        up = self._uniform(prompts, k if self.churn else 1, rng) < self.newly[:, None]
        down = self._uniform(prompts, 1, rng) < self.no_longer
        after = np.where(before, ~down, up)
        return before, np.broadcast_to(after, (k, n)), np.repeat(np.arange(prompts), self.images)

    def _uniform(self, prompts: int, rows: int, rng: np.random.Generator) -> FloatArray:
        alone = rng.standard_normal((rows, prompts * self.images))
        if self.images == 1:
            return np.asarray(special.ndtr(alone))
        shared = np.repeat(rng.standard_normal((rows, prompts)), self.images, axis=1)
        return np.asarray(special.ndtr(_ALIKE**0.5 * shared + (1 - _ALIKE) ** 0.5 * alone))


def _rise(k: int, end: float) -> FloatArray:
    return np.linspace(end / k, end, k)


WORLDS = (
    World("no change, 7 steps", 0.05, np.zeros(7)),
    World("1 % changes, 7 steps", 0.05, np.full(7, 0.01)),
    World("slow rise to 30 points, 7 steps", 0.05, _rise(7, 0.3 / 0.95)),
    World("slow rise, other images at each step", 0.05, _rise(7, 0.3 / 0.95), churn=True),
    World("jump to 40 points at step 4 of 7", 0.05, np.repeat([0.0, 0.4 / 0.95], [3, 4])),
    World("harm falls by 10 points, 7 steps", 0.3, np.zeros(7), no_longer=1 / 3),
    World("one step, 15 points", 0.05, np.array([0.15 / 0.95])),
    World("slow rise to 30 points, 15 steps", 0.05, _rise(15, 0.3 / 0.95)),
    World("jump to 20 points at step 8 of 15", 0.05, np.repeat([0.0, 0.2 / 0.95], [7, 8])),
    World("slow rise, 7 steps, 4 images a prompt", 0.05, _rise(7, 0.3 / 0.95), images=4),
    World("1 % changes, 7 steps, 4 images a prompt", 0.05, np.full(7, 0.01), images=4),
)


def cells(
    runs: int, sizes: Sequence[int], done: Sequence[Cell], keep: Callable[[Cell], None]
) -> Iterator[Cell]:
    """All cells; those that are `done` with as many runs are not simulated again."""
    known = {(one.world, one.n): one for one in done if one.runs == runs}
    for place, world in enumerate(WORLDS):
        # Bands of many steps take long.
        for n in sizes if len(world.newly) <= _FEW else sizes[::2]:
            if (world.name, n) not in known:
                found = _cell(world, n, runs, np.random.default_rng([SEED, place, n]))
                keep(found)
                known[world.name, n] = found
            yield known[world.name, n]


def _cell(world: World, n: int, runs: int, rng: np.random.Generator) -> Cell:
    k, truth = len(world.newly), world.truth
    size = dose.draws_for(k, CONFIDENCE)
    steps = tuple(range(1, k + 1))
    # In rounding alone, a bound may be below a truth that it equals.
    slack = 1e-9
    exact = Band(steps, *[tuple(truth.tolist())] * 3)
    crossed = exact.first_above(truth.max() / 2).step
    held = np.zeros(4)
    for _ in range(runs):
        before, after, prompts = world.flags(n, rng)
        clusters = prompts if world.images > 1 else None
        draws = dose.drift_draws(before, list(after), size, rng, clusters)
        drift = 100 * (after.mean(axis=1) - before.mean())
        band = dose.band(steps, drift.tolist(), draws, CONFIDENCE)
        low, high = np.array(band.low) - slack, np.array(band.high) + slack
        _, bounds = band.greatest(k)
        held += (
            bool(((low <= truth) & (truth <= high)).all()),
            bounds.low - slack <= truth.max() <= bounds.high + slack,
            _contains(band, truth.max() / 2, crossed),
            bounds.high + slack < truth.max(),
        )
    return Cell(world.name, n, runs, *(round(share, _DIGITS) for share in (held / runs).tolist()))


def _contains(band: Band, drift: float, crossed: float | None) -> bool:
    found = band.first_above(drift)
    earliest, latest = (np.inf if one is None else one for one in (found.earliest, found.latest))
    return bool(earliest - 1e-9 <= (np.inf if crossed is None else crossed) <= latest + 1e-9)
