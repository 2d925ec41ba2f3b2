"""The held-out loss: how well a model predicts benign pictures that no fine-tune has seen.

Noises and times are the same for every model, so that two models' losses are paired by picture.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spqr_tests.data.pictures import BenignSet
from spqr_tests.errors import BrokenModelError
from spqr_tests.generation import finetuning, objectives
from spqr_tests.generation.generations import ImageSource
from spqr_tests.settings.finetuning import OptimizerSettings
from spqr_tests.store import digest, libraries
from spqr_tests.store.computing import computing
from spqr_tests.store.store import Store

KIND = "losses"
REVISION = 1
"""Part of every loss's key; raise it when a change here changes a loss."""
DRAWS = 8
"""Noises and times for each picture: one alone says more about its time than about the model."""
_SEED = 20251119


def split(benign: BenignSet, n: int | None, held_out: int) -> tuple[BenignSet, BenignSet | None]:
    """The pictures to train on, and up to `held_out` of those that are held out; None for 0.

    They are what the set has behind its first `n`. Where it has nothing there, a fifth of it at
    most, from its end, is set aside. A set too small for that is measured on its own pictures.
    """
    if not held_out:
        return benign, None
    pictures = benign.pictures
    trained = pictures[:n]
    behind = pictures[len(trained) :][:held_out]
    if len(behind) < 2:
        aside = min(held_out, len(trained) // 5)
        if aside < 2:
            return _only(benign, trained), _only(benign, trained[:held_out])
        trained, behind = trained[:-aside], trained[-aside:]
    return _only(benign, trained), _only(benign, behind)


def _only(benign: BenignSet, pictures: tuple[Path, ...]) -> BenignSet:
    kept = set(pictures)
    return replace(benign, pairs=tuple(pair for pair in benign.pairs if pair[0] in kept))


def losses(
    store: Store, source: ImageSource, benign: BenignSet, optimizer: OptimizerSettings
) -> NDArray[np.float64]:
    """The loss of each picture (n,), with its first caption, by the backbone's own objective.

    `BrokenModelError` when one is not finite.
    """
    first = dict(reversed(benign.pairs))
    pairs = tuple((path, first[path]) for path in benign.pictures)
    once = replace(benign, pairs=pairs)
    numbers = source.settings.numbers
    size = numbers.height, numbers.width
    key = digest.of_json(
        {
            "batch": optimizer.batch,
            "benign": once.digest,
            "content": source.content,
            "device": source.device.split(":")[0],
            "dtype": source.settings.dtype,
            "libraries": libraries.minor(libraries.TRAINING),
            "min_snr_gamma": optimizer.min_snr_gamma,
            "revision": [REVISION, DRAWS, objectives.REVISION],
            "size": list(size),
        }
    )

    def compute() -> list[float]:
        with computing(source.device):
            return [float(one) for one in _losses(source, once, optimizer, size)]

    return np.array(store.once(KIND, key, compute), dtype=np.float64)


def _losses(
    source: ImageSource, benign: BenignSet, optimizer: OptimizerSettings, size: tuple[int, int]
) -> NDArray[np.float64]:
    import torch

    sampler = source.sampler()
    pipeline, backbone = sampler.pipeline, sampler.backbone
    denoiser = getattr(pipeline, backbone.denoiser)
    examples = finetuning.encode(pipeline, backbone, benign, size, optimizer.batch)
    objective = objectives.choose(
        pipeline.scheduler, patch=backbone.patch, min_snr_gamma=optimizer.min_snr_gamma
    )
    generator = torch.Generator("cpu").manual_seed(_SEED)
    count, found = len(examples.mean), []
    with torch.inference_mode():
        for _ in range(DRAWS):
            for rows in torch.arange(count).split(optimizer.batch):
                mean, std, text = examples.batch(rows, pipeline.device)
                noise = torch.randn(mean.shape, generator=generator).to(pipeline.device)
                lesson = objective.lesson(mean + std * noise, generator)
                predicted = backbone.predict(
                    denoiser,
                    lesson.noisy.to(denoiser.dtype),
                    lesson.times,
                    {name: tensor.to(denoiser.dtype) for name, tensor in text.items()},
                    size,
                )
                squares = (predicted.float() - lesson.target.float()).square()
                one = squares.mean(dim=list(range(1, squares.ndim)))
                found.append(one if lesson.weights is None else one * lesson.weights)
    values = torch.cat(found).view(DRAWS, count).mean(dim=0).cpu().double().numpy()
    if not np.isfinite(values).all():
        raise BrokenModelError("The loss on held-out pictures is not finite.")
    return np.asarray(values)
