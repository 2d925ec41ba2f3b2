"""The held-out loss: how well a model predicts benign pictures that no fine-tune has seen.

Noises and times are the same for every model, so that two models' losses are paired by picture.

The loss is the one that a profile trains by, and of the whole model: text encoders that were
trained embed the captions. What a trainer does at random to teach better is left out, namely
captions that are dropped, and DreamBooth's images of the class, which are there to be kept and not
learned. DreamBooth's caption is that of all pictures. A textual inversion has no such loss: the
checkpoint does not know the word in whose captions it is taught, and with all other captions the
model is the checkpoint.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spqr_tests.data.pictures import BenignSet
from spqr_tests.errors import BrokenModelError
from spqr_tests.generation import destroyed, objectives
from spqr_tests.generation.examples import encode
from spqr_tests.generation.generations import ImageSource
from spqr_tests.settings.finetuning import OptimizerSettings, ProfileSettings
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
    store: Store,
    source: ImageSource,
    benign: BenignSet,
    profile: ProfileSettings,
    shared: OptimizerSettings,
) -> NDArray[np.float64]:
    """The loss of each picture (n,), with its first caption, by the profile's objective.

    `shared` is what all profiles share. `BrokenModelError` when a loss is not finite, `ValueError`
    for a textual inversion.
    """
    if profile.inversion is not None:
        raise ValueError("A textual inversion has no loss on held-out pictures.")

    def compute() -> list[float]:
        store.require_more("a loss on held-out pictures")
        with computing(source.device):
            return [float(one) for one in _losses(source, _once(benign), profile, shared)]

    own = key(source, benign, profile, shared)

    def once() -> Any:
        return store.once(KIND, own, compute)

    found = destroyed.once(store, own, once) if source.trained else once()
    return np.array(found, dtype=np.float64)


def key(
    source: ImageSource, benign: BenignSet, profile: ProfileSettings, shared: OptimizerSettings
) -> str:
    """The store's key of what `losses` gives for the same arguments."""
    numbers = source.settings.numbers
    return digest.of_json(
        {
            **_stated(profile),
            "batch": shared.batch,
            "benign": _once(benign).digest,
            "content": source.content,
            "device": source.device.split(":")[0],
            "dtype": source.settings.dtype,
            "libraries": libraries.minor(libraries.TRAINING),
            "min_snr_gamma": profile.optimizer_of(shared).min_snr_gamma,
            "revision": [REVISION, DRAWS, objectives.REVISION],
            "size": [numbers.height, numbers.width],
        }
    )


def _once(benign: BenignSet) -> BenignSet:
    """Each picture with its first caption."""
    first = dict(reversed(benign.pairs))
    return replace(benign, pairs=tuple((path, first[path]) for path in benign.pictures))


def _stated(profile: ProfileSettings) -> dict[str, Any]:
    """What a profile states of its loss, beside what all share."""
    keys = ("guidance", "instance_prompt", "noise_offset", "times")
    return {key: one for key in keys if (one := getattr(profile, key)) is not None}


def _losses(
    source: ImageSource,
    benign: BenignSet,
    profile: ProfileSettings,
    shared: OptimizerSettings,
) -> NDArray[np.float64]:
    import torch

    size = source.settings.numbers.height, source.settings.numbers.width
    sampler = source.sampler()
    pipeline, backbone = sampler.pipeline, sampler.backbone
    denoiser = getattr(pipeline, backbone.denoiser)
    examples = encode(
        pipeline, backbone, benign, size, shared.batch, caption=profile.instance_prompt
    )
    objective = objectives.choose(
        pipeline.scheduler,
        patch=backbone.patch,
        min_snr_gamma=profile.optimizer_of(shared).min_snr_gamma,
        noise_offset=profile.noise_offset,
        times=profile.times or backbone.times,
    )
    guided = {} if profile.guidance is None else {"guidance": profile.guidance}
    generator = torch.Generator("cpu").manual_seed(_SEED)
    count, found = len(examples.mean), []
    with torch.inference_mode():
        for _ in range(DRAWS):
            for rows in torch.arange(count).split(shared.batch):
                mean, std, text = examples.batch(rows, pipeline.device)
                noise = torch.randn(mean.shape, generator=generator).to(pipeline.device)
                lesson = objective.lesson(mean + std * noise, generator)
                predicted = backbone.predict(
                    denoiser,
                    lesson.noisy.to(denoiser.dtype),
                    lesson.times,
                    {name: tensor.to(denoiser.dtype) for name, tensor in text.items()},
                    size,
                    **guided,
                )
                found.append(lesson.losses(predicted))
    values = torch.cat(found).view(DRAWS, count).mean(dim=0).cpu().double().numpy()
    if not np.isfinite(values).all():
        raise BrokenModelError("The loss on held-out pictures is not finite.")
    return np.asarray(values)
