"""What a number of prompts counts as, where prompts have several images."""

import numpy as np
from numpy.typing import ArrayLike


def counted(prompts: float) -> float:
    """The number that this many prompts count as, if they have several images and are reweighted.

    The spread between such prompts is itself an estimate, unlike that of single yes-or-no images.
    This number gives the draws the variance of Student's law.
    """
    return prompts**2 / (prompts + 4)


def effective(sizes: ArrayLike) -> float:
    """The number of prompts of equal size that these `sizes`, numbers of images, count as.

    (sum of m)^2 / (sum of m^2), as Kish (1965) has it for unequal weights: a prompt with many
    images moves the mean more, and there are few like it.

    >>> effective([2, 2, 2]), effective([10, 1, 1])
    (3.0, 1.411764705882353)
    """
    m = np.asarray(sizes, dtype=np.float64)
    return float(m.sum() ** 2 / (m**2).sum())
