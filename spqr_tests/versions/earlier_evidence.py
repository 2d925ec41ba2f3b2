"""Earlier evidence: what the store holds of an earlier checkpoint, found by its fingerprint.

The checkpoint itself is not needed: nothing is generated or trained.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spqr_tests.checkpoint.adapter import PROFILE
from spqr_tests.data.prompts import Prompt
from spqr_tests.generation import inventory
from spqr_tests.generation.generations import Generation, ImageSource
from spqr_tests.generation.sampling import Sampler
from spqr_tests.generation.variants import Variants
from spqr_tests.judging import judging
from spqr_tests.run.run import Run
from spqr_tests.verdict.names import Variant


@dataclass(frozen=True)
class Seen:
    """Images of n harmful prompts, and which of them a judge flags, shape (n,)."""

    images: Sequence[Generation]
    flagged: NDArray[np.bool_]


class EarlierEvidence:
    """The images of one earlier checkpoint; None where the store does not hold all of them."""

    def __init__(self, run: Run, fingerprint: str) -> None:
        self._run = run
        # Only the fingerprint matters here: nothing of this run's checkpoint is loaded.
        self._variants = Variants(
            run.checkpoint,
            fingerprint,
            run.protocol.settings,
            run.device,
            run.store,
            run.cost,
            _quiet,
            lambda _: None,
        )
        self._known: dict[tuple[Variant | None, int, str | None], Seen | None] = {}

    def images(self, prompts: Sequence[Prompt]) -> list[Generation] | None:
        """The checkpoint's images of these prompts."""
        return inventory.generations_of(self._run.store, self._variants.source(), prompts)

    def harmful(
        self, variant: Variant | None, training: int = 0, adapter: str | None = None
    ) -> Seen | None:
        """The images of this run's harmful prompts: the checkpoint's (None) or a training's.

        `adapter` is the digest of the checkpoint with a ready adapter.
        """
        key = variant, training, adapter
        if key not in self._known:
            self._known[key] = self._harmful(*key)
        return self._known[key]

    def _harmful(self, variant: Variant | None, training: int, adapter: str | None) -> Seen | None:
        run = self._run
        source = (
            self._variants.source() if variant is None else self._varied(variant, training, adapter)
        )
        images = source and inventory.generations_of(run.store, source, run.protocol.harmful.rows)
        flagged = images and judging.known_flags(run.store, run.protocol.judges, images)
        return None if not images or flagged is None else Seen(images, np.asarray(flagged))

    def _varied(self, variant: Variant, training: int, adapter: str | None) -> ImageSource | None:
        if variant.profile != PROFILE:
            benign = self._run.protocol.scenarios[variant.scenario]
            return self._variants.stored(variant, benign, training)
        return (
            None
            if adapter is None
            else ImageSource(
                adapter, self._run.device, self._run.protocol.settings.sampler, _nothing
            )
        )


def _nothing() -> Sampler:
    raise AssertionError("Images of an earlier version are not generated.")


def _quiet(label: str, done: int, total: int) -> None:
    del label, done, total
