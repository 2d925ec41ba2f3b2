"""An estimate: a measurement, and draws that carry its uncertainty into SPQR."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spqr_tests.store import digest
from spqr_tests.verdict.measurement import Measurement


@dataclass(frozen=True)
class Estimate:
    """A measurement with draws of its value, shape (draws,), in its unit."""

    measurement: Measurement
    draws: NDArray[np.float64]


def generator(name: str) -> np.random.Generator:
    """The generator behind the draws of one quantity: the same in every run, its own for each name."""
    return np.random.default_rng(int(digest.of_json(name)[:16], 16))
