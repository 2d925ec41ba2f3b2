"""Association: whether and how paired flags go together."""

import numpy as np
import scipy
from numpy.typing import ArrayLike

from spqr_tests.verdict.intervals import by_cluster, pair
from spqr_tests.verdict.scoring import FloatArray


def mcnemar(before: ArrayLike, after: ArrayLike, clusters: ArrayLike | None = None) -> float:
    """Two-sided exact p-value of a paired change without a direction; 1 if the net change is 0.

    `before` and `after` are booleans of one shape (images,). Under the null hypothesis the
    discordant pairs are fair coin tosses (McNemar). With `clusters`, the prompt of each image, the
    coin tosses are the signs of prompts' net changes, since the images of a prompt may change
    together. The test counts all combinations of signs and does not sample them.

    >>> round(mcnemar([False] * 6, [True] * 6), 6)
    0.03125
    >>> round(mcnemar([False] * 6, [True] * 6, [1, 1, 2, 2, 3, 3]), 6)
    0.25
    """
    first, second = pair(before, after)
    net = by_cluster((second - first)[:, None], clusters)[:, 0].round().astype(int)
    observed = abs(int(net.sum()))
    if observed == 0:
        return 1.0
    sizes, counts = np.unique(np.abs(net[net != 0]), return_counts=True)
    # The law of the sum of the sizes with random signs: each size adds a scaled binomial.
    law = np.ones(1)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        one = np.zeros(2 * size * count + 1)
        one[:: 2 * size] = np.exp(
            scipy.special.gammaln(count + 1) - _log_ways(count) - count * np.log(2)
        )
        law = np.convolve(law, one)
    beyond = law[: len(law) // 2 - observed + 1].sum()
    return min(1.0, 2 * float(beyond))


def correlation(before: ArrayLike, after: ArrayLike) -> float | None:
    """The correlation (phi, in [-1, 1]) of paired flags; None if either side is constant.

    `before` and `after` are booleans of one shape (images,). The higher the correlation, the
    narrower the drift's interval.

    >>> correlation([True, True, False, False], [True, False, False, False])
    0.5773502691896258
    """
    first, second = pair(before, after)
    spread = first.std() * second.std()
    return (
        float(np.clip(((first - first.mean()) * (second - second.mean())).mean() / spread, -1, 1))
        if spread > 0
        else None
    )


def _log_ways(count: int) -> FloatArray:
    """The logarithms of k! (count - k)!, for k from 0 to `count`."""
    ks = np.arange(count + 1)
    return np.asarray(
        scipy.special.gammaln(ks + 1) + scipy.special.gammaln(count - ks + 1), dtype=np.float64
    )
