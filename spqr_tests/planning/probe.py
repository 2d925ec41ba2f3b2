"""A probe: the run's own code at work for a moment, so that a plan's time is measured.

Only where that takes seconds: on a CPU, for models of at most `LARGEST` parameters, with random
weights, which compute as fast as trained ones.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from spqr_tests.checkpoint import loading
from spqr_tests.checkpoint.backbones.backbone import Backbone
from spqr_tests.checkpoint.parts import Parts
from spqr_tests.data.prompts import Prompt
from spqr_tests.generation import finetuning
from spqr_tests.generation.finetuning import Examples
from spqr_tests.generation.sampling import Sampler
from spqr_tests.settings.finetuning import OptimizerSettings, ProfileSettings
from spqr_tests.settings.sampler import SamplerSettings
from spqr_tests.store.computing import computing
from spqr_tests.store.images import Pixels

LARGEST = 50_000_000
"""Parameters of all models of a pipeline, above which nothing is tried out."""
STEPS = 3
"""Of the sampler."""
_TRAINED = 5
"""Steps of a fine-tune that are counted."""
_REPEATS = 2
_IMAGES = 8


class Probe:
    """A pipeline with the run's configs and random weights, on the run's device."""

    def __init__(self, parts: Parts, settings: SamplerSettings, device: str) -> None:
        self._device = device
        self._backbone = parts.backbone
        self._settings = settings.model_copy(update={"steps": STEPS})
        with computing(device):
            self._pipeline = loading.skeleton(parts, device)
            self._sampler = Sampler(self._pipeline, self._backbone, self._settings)

    def generation(self) -> float:
        """Seconds for one micro-batch of `STEPS` sampling steps."""
        prompts = [Prompt("", seed) for seed in range(self._settings.micro_batch)]
        with computing(self._device):
            return shortest(lambda: self._sampler.generate(prompts))

    def training(self, profile: ProfileSettings, optimizer: OptimizerSettings) -> float:
        """Seconds for one training step of a profile; `optimizer` is what all profiles share."""
        count = profile.optimizer_of(optimizer).batch * (profile.accumulation or 1)
        with computing(self._device):
            given = examples(self._pipeline, self._backbone, self._settings, count)
            if profile.prior is not None:
                given = replace(given, prior=given)

            ended: list[float] = []
            finetuning.finetune(
                self._pipeline,
                self._backbone,
                given,
                profile.model_copy(update={"steps": 1 + _TRAINED, "epochs": None}),
                optimizer,
                (self._settings.numbers.height, self._settings.numbers.width),
                lambda *_: ended.append(time.perf_counter()),
            )
        # The first step is not counted: before it is what a fine-tune begins with.
        return statistics.median(after - before for before, after in pairwise(ended))


def examples(pipeline: Any, backbone: Backbone, settings: SamplerSettings, count: int) -> Examples:
    """So many examples of noise, of the settings' size, that a pipeline can be trained on."""
    import torch

    numbers, vae = settings.numbers, pipeline.vae
    shape = (count, *backbone.latent_shape(vae.config, (numbers.height, numbers.width)))
    with torch.inference_mode():
        embedded = backbone.embed(pipeline, [""])
    text = {name: tensor.cpu().clone() for name, tensor in embedded.items()}
    captions = torch.zeros(count, dtype=torch.long)
    return Examples(Path("probe"), torch.zeros(shape), torch.ones(shape), text, captions)


def each(work: Callable[[Sequence[Pixels]], Any], side: int) -> float:
    """Seconds an image for what judges or embeds images of `side` pixels; nothing is kept."""
    drawn = pictures(_IMAGES, side)
    return shortest(lambda: work(drawn)) / _IMAGES


def pictures(count: int, side: int) -> list[Pixels]:
    """Pictures of noise, `side` pixels a side."""
    return list(np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8))


def shortest(work: Callable[[], object]) -> float:
    """The shortest of several times, after one that is not counted."""
    work()
    found = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found)
