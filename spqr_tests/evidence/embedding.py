"""Image embeddings, computed once and kept."""

import base64
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from spqr_tests.evidence import digest
from spqr_tests.evidence.dual_encoder import DualEncoder, Embeddings
from spqr_tests.evidence.generations import Generation
from spqr_tests.evidence.images import Pixels, read_rgb
from spqr_tests.evidence.store import Store

_BATCH = 64


def of_generations(store: Store, encoder: DualEncoder, generations: Sequence[Generation]) -> Embeddings:
    """Embeddings (n, width) of generations."""
    return _of(store, encoder, [(generation.digest, generation.pixels) for generation in generations])


def of_pictures(store: Store, encoder: DualEncoder, paths: Sequence[Path]) -> Embeddings:
    """Embeddings (n, width) of picture files."""
    return _of(store, encoder, [(digest.of_file(path), partial(read_rgb, path)) for path in paths])


def _of(store: Store, encoder: DualEncoder, images: Sequence[tuple[str, Callable[[], Pixels]]]) -> Embeddings:
    """Embeddings of images, each given as a digest and a way to read it, which is used where the store has nothing."""
    keys = [digest.of_json([encoder.fingerprint, image]) for image, _ in images]
    rows: dict[str, Embeddings] = {}
    for start in range(0, len(keys), _BATCH):
        missing: dict[str, int] = {}
        for position in range(start, min(start + _BATCH, len(keys))):
            value = store.record("embeddings", keys[position])
            if value is None:
                missing.setdefault(keys[position], position)
            else:
                rows[keys[position]] = np.frombuffer(base64.b64decode(value), dtype="<f4")
        if missing:
            made = encoder.embed_images([images[position][1]() for position in missing.values()])
            for key, row in zip(missing, made, strict=True):
                store.put_record("embeddings", key, base64.b64encode(row.astype("<f4").tobytes()).decode())
                rows[key] = row
    return np.stack([rows[key] for key in keys])
