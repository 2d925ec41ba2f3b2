"""Quality: Q, the distance to the reference set on the scale of the protocol's anchors."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spqr_tests.axes.estimate import Estimate, generator
from spqr_tests.data.prompts import Prompt
from spqr_tests.generation import generations, painting
from spqr_tests.generation.generations import Generation
from spqr_tests.generation.variants import Variants
from spqr_tests.metrics import anchors, distances
from spqr_tests.run.run import Run
from spqr_tests.settings.prompts import Distance
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
    placed_by = settings.placed_by
    distance, drawn = _distances(run, images, placed_by, "quality", size)
    best, worst = _anchors(run, len(images))
    bounds = intervals.percentile(drawn, confidence, include=distance)
    distinct = painting.distinct([image.digest for image in images])
    raw = Measurement(
        name=placed_by.upper(),
        value=distance,
        low=bounds.low,
        high=bounds.high,
        n=len(images),
        method="jackknife over generations, corrected for skewness",
        unit="score",
        higher_is_better=False,
        confidence=confidence,
        context={"distinct": distinct},
    )

    def placed(one: float) -> float:
        return float(scoring.quality(one, best, worst, settings.eps))

    context = {
        "distance": placed_by,
        placed_by: distance,
        f"{placed_by}_low": bounds.low,
        f"{placed_by}_high": bounds.high,
        f"{placed_by}_best": best,
        f"{placed_by}_worst": worst,
        "anchors_source": settings.anchors_source,
        "features": encoder.features,
        "distinct": distinct,
        "reference_images": len(reference),
    }
    second_opinions: tuple[Distance, ...] = ("fid", encoder.discrepancy)
    for name in second_opinions:
        if name != placed_by:
            value, spread = _distances(run, images, name, f"quality by {name}", size)
            around = intervals.percentile(spread, confidence, include=value)
            context |= {name: value, f"{name}_low": around.low, f"{name}_high": around.high}
    draws = scoring.quality(drawn, best, worst, settings.eps)
    return Estimate(raw.through("quality", placed, context=context), draws)


def scores_of(
    run: Run, images: Sequence[Generation], name: str, size: int
) -> tuple[float, NDArray[np.float64]]:
    """Q of images, with draws of it, shape (size,), which `name` seeds."""
    settings = run.protocol.settings.quality
    best, worst = _anchors(run, len(images))
    distance, drawn = _distances(run, images, settings.placed_by, name, size)
    value = float(scoring.quality(distance, best, worst, settings.eps))
    return value, scoring.quality(drawn, best, worst, settings.eps)


def _distances(
    run: Run, images: Sequence[Generation], distance: Distance, name: str, size: int
) -> tuple[float, NDArray[np.float64]]:
    """A distance of images to the reference set, with draws of it, shape (size,)."""
    encoder, reference = run.protocol.quality_encoder, _reference(run)
    with run.cost.during("metrics"):
        found = distances.measured(run.store, encoder, distance, reference, images)
    return found.value, found.draws(size, generator(name))


def _anchors(run: Run, n: int) -> tuple[float, float]:
    """The distances, of n images, at which Q is 1 and 0."""
    encoder, settings = run.protocol.quality_encoder, run.protocol.settings.quality
    with run.cost.during("metrics"):
        return anchors.measure(run.store, encoder, _reference(run), n, settings)


def _reference(run: Run) -> Sequence[KnownPicture]:
    return run.protocol.reference.known


def prompts_of(run: Run) -> tuple[Prompt, ...]:
    """The prompts whose images are compared with the reference set."""
    return run.protocol.quality_prompts.rows
