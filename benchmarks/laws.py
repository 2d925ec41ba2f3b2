"""Laws: what draws of flags follow, integrated instead of drawn, so that thousands of outcomes are looked at in a second.

`tests/benchmarks/test_coverage.py` holds them against the draws of `spqr_tests.verdict.intervals`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import integrate, special

FloatArray = NDArray[np.float64]

_NODES = 224
_DECADES = 4.0
"""The characteristic function is looked at over so many to either side of its width."""
_AT_ONCE = 1_000_000
"""Complex numbers held: 16 MB."""


def kinds(images: int) -> FloatArray:
    """The kinds of prompts there are by what their `images` do, shape (kinds, 2): how many are lost and how many gained."""
    return np.array(
        [(lost, gained) for lost in range(images + 1) for gained in range(images + 1 - lost)],
        dtype=np.float64,
    )


def shares(images: int, cells: Sequence[float], correlation: float) -> FloatArray:
    """How probable each of `kinds` is when an image is lost, gained or neither with `cells`, a Dirichlet-multinomial law.

    `correlation`, in [0, 1), is that of one such event in two images of a prompt.
    """
    found = kinds(images)
    counts = np.column_stack([found, images - found.sum(axis=1)])
    ways = special.gammaln(images + 1) - special.gammaln(counts + 1).sum(axis=1)
    if correlation == 0:
        logs = special.xlogy(counts, cells).sum(axis=1)
    else:
        strength = 1 / correlation - 1
        alphas = np.array(cells) * strength
        # An event that never happens has no share, and log Gamma(0) no value.
        logs = np.where(
            alphas > 0,
            special.gammaln(alphas + counts) - special.gammaln(np.where(alphas > 0, alphas, 1)),
            np.where(counts > 0, -np.inf, 0),
        ).sum(axis=1)
        logs += special.gammaln(strength) - special.gammaln(strength + images)
    weights = np.exp(ways + logs)
    return np.asarray(weights / weights.sum())


def drift_below(counts: FloatArray, images: int, truth: float) -> FloatArray:
    """How much of the law of `paired_draws`' drift lies below `truth`, shape (outcomes,).

    `counts` (outcomes, kinds) are the prompts of each of `kinds(images)`.
    """
    found = kinds(images)
    net = found[:, 1] - found[:, 0]
    change = _typical(counts, np.abs(net), images)
    coins = [
        ((0.5, change - truth * images),),
        ((0.5, -change - truth * images),),
        ((0.5, np.full(len(counts), -truth * images)),),
    ]
    return _below(counts, net - truth * images, coins, images)


def rate_below(counts: FloatArray, images: int, truth: float) -> FloatArray:
    """How much of the law of `clustered_rate_draws` lies below `truth`, for the prompts (outcomes, images + 1) by flagged images."""
    flagged = np.arange(images + 1.0)
    up = _typical(counts, flagged, images)
    down = images - _typical(counts, images - flagged, images)
    return _below(
        counts,
        flagged - truth * images,
        [((0.5, up - truth * images), (0.5, down - truth * images))],
        images,
    )


def _typical(counts: FloatArray, changes: FloatArray, images: int) -> FloatArray:
    return np.asarray((images**2 + counts @ changes**2) / (images + counts @ changes))


def _below(
    counts: FloatArray,
    offsets: FloatArray,
    coins: Sequence[Sequence[tuple[float, FloatArray]]],
    images: int,
) -> FloatArray:
    """P(sum of offsets times gamma weights < 0), by Gil-Pelaez's inversion, half of a mass at 0 counted.

    Each of `coins` is exponential weights, of which one is there with its probability, at most.
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
