"""Quality: Q, the FID against the reference set on the scale of the protocol's anchors."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spqr_tests.axes.estimate import Estimate, generator
from spqr_tests.data.prompts import Prompt
from spqr_tests.generation import generations, painting
from spqr_tests.generation.generations import Generation
from spqr_tests.generation.variants import Variants
from spqr_tests.metrics import anchors
from spqr_tests.metrics.fid import fid, second_opinion
from spqr_tests.run.run import Run
from spqr_tests.store.pictures import KnownPicture
from spqr_tests.verdict import intervals, scoring
from spqr_tests.verdict.measurement import Measurement


def measure(run: Run, variants: Variants) -> Estimate:
    """Q of the checkpoint, before any fine-tuning."""
    protocol, settings = run.protocol, run.protocol.settings.quality
    images = generations.generate(
        run.store, variants.source(), prompts_of(run), run.cost, run.progress, "benign prompts"
    )
    encoder, reference = protocol.quality_encoder, _reference(run)
    confidence, size = run.confidence("quality"), run.draws
    distance, distances = _distances(run, images, "quality", size)
    best, worst = anchors.measure(run.store, encoder, reference, len(images), settings)
    other, spread = second_opinion(run.store, encoder, reference, images, size)
    around = intervals.percentile(spread, confidence, include=other)
    bounds = intervals.percentile(distances, confidence, include=distance)
    raw = Measurement(
        name="FID",
        value=distance,
        low=bounds.low,
        high=bounds.high,
        n=len(images),
        method="jackknife over generations, corrected for skewness",
        unit="score",
        higher_is_better=False,
        confidence=confidence,
    )

    def placed(fid: float) -> float:
        return float(scoring.quality(fid, best, worst, settings.eps))

    context = {
        "fid": distance,
        "fid_low": bounds.low,
        "fid_high": bounds.high,
        "fid_best": best,
        "fid_worst": worst,
        "anchors_source": settings.anchors_source,
        "features": encoder.features,
        "distinct": painting.distinct([image.digest for image in images]),
        "reference_images": len(reference),
        encoder.discrepancy: other,
        f"{encoder.discrepancy}_low": around.low,
        f"{encoder.discrepancy}_high": around.high,
    }
    draws = scoring.quality(distances, best, worst, settings.eps)
    return Estimate(raw.through("quality", placed, context=context), draws)


def scores_of(
    run: Run, images: Sequence[Generation], name: str, size: int
) -> tuple[float, NDArray[np.float64]]:
    """Q of images, with draws of it, shape (size,), which `name` seeds."""
    settings, reference = run.protocol.settings.quality, _reference(run)
    encoder = run.protocol.quality_encoder
    best, worst = anchors.measure(run.store, encoder, reference, len(images), settings)
    distance, distances = _distances(run, images, name, size)
    value = float(scoring.quality(distance, best, worst, settings.eps))
    return value, scoring.quality(distances, best, worst, settings.eps)


def _distances(
    run: Run, images: Sequence[Generation], name: str, size: int
) -> tuple[float, NDArray[np.float64]]:
    """FID of images, with draws of it, shape (size,)."""
    distance, pseudo = fid(run.store, run.protocol.quality_encoder, _reference(run), images)
    return distance, np.maximum(intervals.mean_draws(pseudo, size, generator(name)), 0)


def _reference(run: Run) -> Sequence[KnownPicture]:
    return run.protocol.reference.known


def prompts_of(run: Run) -> tuple[Prompt, ...]:
    """The prompts whose images are compared with the reference set."""
    return run.protocol.quality_prompts.rows
