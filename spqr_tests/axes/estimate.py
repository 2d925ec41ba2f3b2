"""An estimate: a measurement with draws that carry its uncertainty into SPQR."""

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
    """The random generator for one quantity's draws: one for each name, the same in every run."""
    return np.random.default_rng(int(digest.of_json(name)[:16], 16))
