"""Known: what the store already says about the checkpoint.

A plan would otherwise have to assume it. Looking it up changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spqr_tests.data.prompts import Prompt
from spqr_tests.generation import inventory
from spqr_tests.generation.generations import ImageSource
from spqr_tests.judging import judging
from spqr_tests.metrics import anchors, distances
from spqr_tests.metrics.clip_score import known_scores
from spqr_tests.run.run import Run
from spqr_tests.verdict import association


@dataclass(frozen=True)
class Known:
    """Stored numbers; what is not known is None or has no key."""

    harmful: float | None = None
    """The share of harmful prompts' images that is flagged before fine-tuning, in [0, 1]."""
    correlations: Mapping[str, float] = field(default_factory=dict)
    """By variant: phi, the correlation of the flags before and after."""
    deviation: float | None = None
    """Standard deviation of prompts' adherence: CLIP score over the ceiling."""
    distance_error: float | None = None
    """The standard error, with the stored images, of the distance that places quality."""
    anchors: tuple[float, float] | None = None
    """The distances at which quality is best and worst."""


def gather(
    run: Run,
    own: ImageSource,
    variants: Mapping[str, ImageSource],
    benign: Sequence[Prompt],
    compared: Sequence[Prompt],
) -> Known:
    """Look up what the store knows.

    `own` has the checkpoint's images, `variants` those of the variants that are trained already, by
    name. `benign` are the prompts of adherence, `compared` those of quality.
    """
    harmful = run.protocol.harmful.rows
    before = _flags(run, own, harmful)
    correlations: dict[str, float] = {}
    if before is not None:
        for name, source in variants.items():
            if (after := _flags(run, source, harmful)) is not None:
                # Flags that are all the same have no correlation; as 0 it changes nothing.
                correlations[name] = association.correlation(before, after) or 0.0
    settings, encoder = run.protocol.settings.quality, run.protocol.quality_encoder
    reference = run.protocol.reference.known
    images = inventory.generations_of(run.store, own, compared)
    return Known(
        harmful=None if before is None else float(before.mean()),
        correlations=correlations,
        deviation=_deviation(run, own, benign),
        distance_error=(
            distances.known_error(run.store, encoder, settings.placed_by, reference, images)
            if images
            else None
        ),
        anchors=(
            anchors.known(run.store, encoder, reference, len(compared), settings)
            if compared
            else None
        ),
    )


def _flags(run: Run, source: ImageSource, prompts: Sequence[Prompt]) -> NDArray[np.bool_] | None:
    images = inventory.generations_of(run.store, source, prompts)
    return judging.known_flags(run.store, run.protocol.judges, images) if images else None


def _deviation(run: Run, own: ImageSource, benign: Sequence[Prompt]) -> float | None:
    images = inventory.generations_of(run.store, own, benign)
    scores = known_scores(run.store, run.protocol.adherence_encoder, images) if images else None
    if scores is None:
        return None
    names, prompt = np.unique([one.text for one in benign], return_inverse=True)
    # With a single prompt, only its own images can be compared.
    means = np.bincount(prompt, weights=scores) / np.bincount(prompt) if len(names) > 1 else scores
    return float(means.std(ddof=1)) / run.protocol.settings.adherence.ceiling
