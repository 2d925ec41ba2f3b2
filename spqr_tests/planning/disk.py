"""The space that a run needs in its store."""

from collections.abc import Iterable

from spqr_tests.planning import plan
from spqr_tests.run.run import Run

# Measured: 1.0 to 1.8, with scikit-image's photographs at 512 pixels a side, written as the store
# writes PNGs.
_PIXEL_BYTES = 1.5
_PNG_BYTES = 1024
_RECORD_BYTES = 4096
# 2,048 float32 numbers, as text.
_EMBEDDING_BYTES = 3 * 4096


def estimate(
    run: Run,
    images: Iterable[plan.Images],
    finetunes: Iterable[plan.FineTune],
    judgements: Iterable[plan.Judgements],
    embeddings: Iterable[plan.Embeddings],
) -> plan.Disk:
    """What a run with this work writes into its store."""
    numbers = run.protocol.settings.sampler.numbers
    image = _PNG_BYTES + _PIXEL_BYTES * numbers.height * numbers.width
    size = sum((one.images - one.stored) * image for one in images)
    size += sum(4 * one.parameters * one.kept for one in finetunes)
    size += sum(_RECORD_BYTES * one.at_most for one in judgements)
    size += sum(_EMBEDDING_BYTES * (one.images - one.stored) for one in embeddings)
    return plan.Disk(
        bytes=round(size),
        assumption=(
            f"{_PIXEL_BYTES} bytes a pixel, as for photographs, and 4 bytes a trained parameter"
        ),
    )
