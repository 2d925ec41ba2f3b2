"""Laws of draws of flags, integrated instead of drawn.

Thousands of outcomes are integrated in a second. `tests/benchmarks/test_coverage.py` compares the
laws with the draws of `spqr_tests.verdict.intervals`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import integrate, special

from spqr_tests.verdict.intervals import Side

FloatArray = NDArray[np.float64]

_NODES = 224
_DECADES = 4.0
"""The characteristic function is integrated over so many decades to either side of its width."""
_AT_ONCE = 1_000_000
"""Complex numbers held in memory: 16 MB."""


def kinds(images: int) -> FloatArray:
    """The kinds of prompts by how many of their `images` are lost and gained, shape (kinds, 2)."""
    return np.array(
        [(lost, gained) for lost in range(images + 1) for gained in range(images + 1 - lost)],
        dtype=np.float64,
    )


def shares(images: int, cells: Sequence[float], correlation: float) -> FloatArray:
    """The probability of each of `kinds`, shape (kinds,): a Dirichlet-multinomial law.

    `cells` are the probabilities that an image is lost, gained or neither. `correlation`, in
    [0, 1), is the correlation of one such event in two images of a prompt.
    """
    found = kinds(images)
    counts = np.column_stack([found, images - found.sum(axis=1)])
    ways = special.gammaln(images + 1) - special.gammaln(counts + 1).sum(axis=1)
    if correlation == 0:
        logs = special.xlogy(counts, cells).sum(axis=1)
    else:
        strength = 1 / correlation - 1
        alphas = np.array(cells) * strength
        # An event that never happens has the share 0, and log Gamma(0) is infinite.
        logs = np.where(
            alphas > 0,
            special.gammaln(alphas + counts) - special.gammaln(np.where(alphas > 0, alphas, 1)),
            np.where(counts > 0, -np.inf, 0),
        ).sum(axis=1)
        logs += special.gammaln(strength) - special.gammaln(strength + images)
    weights = np.exp(ways + logs)
    return np.asarray(weights / weights.sum())


def drift_below(counts: FloatArray, images: int, truth: float, toward: Side = 0) -> FloatArray:
    """How much of the law of `paired_draws`' drift is below `truth`, shape (outcomes,).

    `counts` (outcomes, kinds) are the numbers of prompts of each of `kinds(images)`.
    """
    found = kinds(images)
    net = found[:, 1] - found[:, 0]
    change = _typical(counts, np.abs(net), images)
    coins = [
        ((0.5, change - truth * images),),
        ((0.5, -change - truth * images),),
        ((0.5, np.full(len(counts), -truth * images)),),
    ]
    if toward:
        coins = [((1.0, toward * change - truth * images),)]
    return _below(counts, net - truth * images, coins, images)


def rate_below(counts: FloatArray, images: int, truth: float, toward: Side = 0) -> FloatArray:
    """How much of the law of `clustered_rate_draws` is below `truth`, shape (outcomes,).

    `counts` (outcomes, images + 1) are the numbers of prompts by how many images are flagged.
    """
    flagged = np.arange(images + 1.0)
    up = _typical(counts, flagged, images)
    down = images - _typical(counts, images - flagged, images)
    coins: list[tuple[tuple[float, FloatArray], ...]]
    coins = [((0.5, up - truth * images), (0.5, down - truth * images))]
    if toward:
        coins = [((1.0, (up if toward > 0 else down) - truth * images),)]
    return _below(counts, flagged - truth * images, coins, images)


def _typical(counts: FloatArray, changes: FloatArray, images: int) -> FloatArray:
    return np.asarray((images**2 + counts @ changes**2) / (images + counts @ changes))


def _below(
    counts: FloatArray,
    offsets: FloatArray,
    coins: Sequence[Sequence[tuple[float, FloatArray]]],
    images: int,
) -> FloatArray:
    """P(sum of offsets times gamma weights < 0), with half of the mass at 0, shape (outcomes,).

    By the inversion formula of Gil-Pelaez (1951). Each of `coins` adds at most one exponential
    weight, chosen by the given probabilities.
    """
    prompts = counts.sum(axis=1, keepdims=True)
    shapes = counts * (prompts / (prompts + 4) if images > 1 else 1.0)
    spread = shapes @ offsets**2 + sum(
        chance * offset**2 for coin in coins for chance, offset in coin
    )
    steps = np.linspace(-_DECADES, _DECADES, _NODES) * np.log(10)
    below = np.empty(len(counts))
    rows = max(1, _AT_ONCE // (_NODES * len(offsets)))
    for start in range(0, len(counts), rows):
        part = slice(start, start + rows)
        u = np.exp(steps) / np.sqrt(np.maximum(spread[part], 1e-300))[:, None]
        logs = np.zeros(u.shape, dtype=complex)
        for shape, offset in zip(shapes[part].T, offsets, strict=True):
            if shape.any():
                logs -= shape[:, None] * np.log1p(-1j * offset * u)
        phi = np.exp(logs)
        for coin in coins:
            phi *= (
                1
                - sum(chance for chance, _ in coin)
                + sum(chance / (1 - 1j * offset[part, None] * u) for chance, offset in coin)
            )
        below[part] = 0.5 - integrate.trapezoid(phi.imag, steps, axis=1) / np.pi
    return below
