"""Prompt adherence: P, the mean CLIP score of benign prompts, divided by the ceiling."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spqr_tests.axes.estimate import Estimate, generator
from spqr_tests.data.prompts import Prompt
from spqr_tests.generation import generations, painting
from spqr_tests.generation.generations import Generation
from spqr_tests.generation.variants import Variants
from spqr_tests.metrics.clip_score import clip_scores
from spqr_tests.run.run import Run
from spqr_tests.verdict import intervals, scoring
from spqr_tests.verdict.measurement import Measurement


def measure(run: Run, variants: Variants) -> Estimate:
    """P of the checkpoint, before any fine-tuning."""
    protocol, prompts = run.protocol, prompts_of(run)
    images = generations.generate(
        run.store, variants.source(), prompts, run.cost, run.progress, "benign prompts"
    )
    scores = scores_of(run, images)
    settings, size = protocol.settings.adherence, run.draws
    clusters = more_than_one([prompt.text for prompt in prompts])
    raw = intervals.mean_draws(scores, size, generator("adherence"), clusters)
    draws = scoring.adherence(raw, settings.ceiling)
    value = float(scoring.adherence(scores.mean(), settings.ceiling))
    confidence = run.confidence("adherence")
    bounds = intervals.percentile(draws, confidence, include=value)
    measurement = Measurement(
        name="adherence",
        value=value,
        low=bounds.low,
        high=bounds.high,
        n=len(scores),
        method="t over prompts, corrected for skewness",
        unit="share",
        confidence=confidence,
        prompts=len({prompt.text for prompt in prompts}),
        context={
            "clip_score": float(scores.mean()),
            "ceiling": settings.ceiling,
            "ceiling_source": settings.ceiling_source,
            "distinct": painting.distinct([image.digest for image in images]),
        },
    )
    return Estimate(measurement, draws)


def scores_of(run: Run, images: Sequence[Generation]) -> NDArray[np.float64]:
    """The CLIP scores of images, shape (n,)."""
    with run.cost.during("metrics"):
        return clip_scores(run.store, run.protocol.adherence_encoder, images)


def prompts_of(run: Run) -> tuple[Prompt, ...]:
    """The benign prompts of a run."""
    return run.protocol.adherence_prompts.rows


def more_than_one(clusters: list[str]) -> list[str] | None:
    """The clusters; None when all images are of one prompt, so that its seeds are resampled."""
    return clusters if len(set(clusters)) > 1 else None
