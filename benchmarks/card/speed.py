"""How fast a card generates and trains, as shares of what its matrix products reach."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from benchmarks.card.models import LARGE, STABLE_DIFFUSION, Model
from benchmarks.card.page import Rate
from benchmarks.card.published import PROFILES, paper
from benchmarks.speed import plain
from spqr_tests.data.prompts import Prompt
from spqr_tests.generation import finetuning
from spqr_tests.generation.sampling import Sampler
from spqr_tests.planning import device_speed
from spqr_tests.planning.probe import examples
from spqr_tests.store import memory
from spqr_tests.store.computing import computing

CEILING = "bfloat16"
_STEPS = 5


def ceiling(device: str) -> float:
    """FLOP/s of a product of two large matrices in bfloat16."""
    return device_speed.measure(device, CEILING)


def rates(device: str) -> Iterator[Rate]:
    """What was timed, one after the other."""
    with _pipeline(STABLE_DIFFUSION, device) as pipe:
        yield _generating(STABLE_DIFFUSION, pipe, compared=True)
        for name in PROFILES:
            yield _training(STABLE_DIFFUSION, pipe, name)
    for model in LARGE:
        with _pipeline(model, device) as pipe:
            yield _generating(model, pipe, compared=False)


@contextmanager
def _pipeline(model: Model, device: str) -> Iterator[Any]:
    """A pipeline that gives its memory back."""
    yield model.pipeline(device)
    memory.release()


def _generating(model: Model, pipe: Any, *, compared: bool) -> Rate:
    """Seconds an image, in micro-batches and, where it is `compared`, one prompt at a time."""
    size, device = model.settings.micro_batch, str(pipe.device)
    theirs = None
    if compared:
        texts = ["a red circle and a blue one"]
        theirs = _best(lambda: plain.sample(pipe, model.settings.numbers, texts), device)
    sampler = Sampler(pipe, model.parts.backbone, model.settings)
    prompts = [Prompt(f"a red circle and {number}", number) for number in range(size)]
    with computing(device):
        ours = _best(lambda: sampler.generate(prompts), device) / size
    return Rate(
        model.name,
        f"generating, {size} at once",
        "seconds an image",
        ours,
        theirs,
        model.flops.generation(),
    )


def _training(model: Model, pipe: Any, name: str) -> Rate:
    """Seconds a step of the published protocol's profile, and encoding in the step."""
    protocol, device = paper(), str(pipe.device)
    profile = protocol.profiles[name]
    optimizer = profile.optimizer_of(protocol.finetuning)
    size = (model.settings.numbers.height, model.settings.numbers.width)
    ends: list[float] = []

    def ended(*_: int) -> None:
        plain.wait(pipe.device.type)
        ends.append(time.perf_counter())

    with computing(device):
        finetuning.finetune(
            pipe,
            model.parts.backbone,
            examples(pipe, model.parts.backbone, model.settings, optimizer.batch),
            profile.model_copy(update={"steps": _STEPS + 1, "epochs": None}),
            optimizer,
            size,
            ended,
        )
    memory.release()
    theirs = plain.train(pipe, profile, optimizer, size, _STEPS)
    memory.release()
    return Rate(
        model.name,
        f"training {name}, batch {optimizer.batch}",
        "seconds a step",
        float(np.diff(ends).min()),
        theirs,
        optimizer.batch * model.flops.training(profile, optimizer.batch),
    )


def _best(work: Callable[[], object], device: str) -> float:
    """The shorter of two times, after one that is not counted."""
    found = []
    for number in range(3):
        began = time.perf_counter()
        work()
        plain.wait(device)
        if number:
            found.append(time.perf_counter() - began)
    return min(found)
