"""Known: what the store already says of the checkpoint that a plan would otherwise have to assume. Looking changes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spqr_tests.data.prompts import Prompt
from spqr_tests.generation import inventory
from spqr_tests.generation.generations import ImageSource
from spqr_tests.judging import judging
from spqr_tests.metrics import anchors
from spqr_tests.metrics.clip_score import known_scores
from spqr_tests.metrics.fid import known_fid_error
from spqr_tests.run.run import Run
from spqr_tests.verdict import intervals


@dataclass(frozen=True)
class Known:
    """None, and no key, for what is not known."""

    harmful: float | None = None
    """The flagged share before fine-tuning."""
    correlations: Mapping[str, float] = field(default_factory=dict)
    """By variant, of the flags before and after (phi)."""
    deviation: float | None = None
    """Standard deviation of one prompt's adherence: its CLIP score over the ceiling."""
    distance_error: float | None = None
    """FID's standard error at the number of images there are."""
    anchors: tuple[float, float] | None = None
    """The FIDs at which quality is best and worst."""


def gather(
    run: Run,
    own: ImageSource,
    variants: Mapping[str, ImageSource],
    benign: Sequence[Prompt],
    compared: Sequence[Prompt],
) -> Known:
    """What the store knows; `variants` are those that are made, and `benign` and `compared` the prompts of adherence and quality."""
    harmful = run.protocol.harmful.first(run.limit).rows
    before = _flags(run, own, harmful)
    correlations: dict[str, float] = {}
    if before is not None:
        for name, source in variants.items():
            if (after := _flags(run, source, harmful)) is not None:
                # Where all of one side are alike, it changes nothing.
                correlations[name] = intervals.correlation(before, after) or 0.0
    settings, encoder = run.protocol.settings.quality, run.protocol.quality_encoder
    reference = [path for path, _ in run.protocol.reference.pairs]
    images = inventory.generations_of(run.store, own, compared)
    return Known(
        harmful=None if before is None else float(before.mean()),
        correlations=correlations,
        deviation=_deviation(run, own, benign),
        distance_error=known_fid_error(run.store, encoder, reference, images) if images else None,
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
    # Those of one prompt alone are all there is to compare.
    means = np.bincount(prompt, weights=scores) / np.bincount(prompt) if len(names) > 1 else scores
    return float(means.std(ddof=1)) / run.protocol.settings.adherence.ceiling
