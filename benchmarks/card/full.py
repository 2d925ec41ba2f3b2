"""Memory that does not suffice, on a real card: said in a sentence, or done with less."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.card.models import STABLE_DIFFUSION, sampled
from benchmarks.card.page import Full
from benchmarks.card.published import paper
from spqr_tests.data.prompts import Prompt
from spqr_tests.errors import EvidenceError
from spqr_tests.generation import finetuning
from spqr_tests.generation.sampling import Sampler
from spqr_tests.planning.probe import examples
from spqr_tests.store import memory
from spqr_tests.store.computing import computing

_GENERATING, _TRAINING = 6e9, 24e9
"""Bytes; the plan says 10.8 and 34.6 GB."""
_STEPS = 2


def full(device: str) -> Iterator[Full]:
    """What happens where a process may use a part of the card alone."""
    model = STABLE_DIFFUSION
    pipe = model.pipeline(device)
    sampler = Sampler(
        pipe, model.parts.backbone, sampled(512, 2, model.settings.micro_batch, "float16", 7.5)
    )
    prompts = [Prompt("a red circle", seed) for seed in range(model.settings.micro_batch)]
    with _at_most(device, _GENERATING) as peak:
        try:
            with computing(device):
                sampler.generate(prompts)
            said = "was generated all the same"
        except EvidenceError as error:
            said = str(error)
    yield Full("generating, 16 at once", _GENERATING, peak[0], said)
    plenty = _losses(pipe, device)
    with _at_most(device, _TRAINING) as peak:
        less = _losses(pipe, device)
    yield Full(
        "training standard, batch 16",
        _TRAINING,
        peak[0],
        f"trained, with a last loss of {less!r}; {plenty!r} where memory was plenty",
    )


def _losses(pipe: Any, device: str) -> float:
    protocol, model = paper(), STABLE_DIFFUSION
    profile = protocol.profiles["standard"]
    optimizer = profile.optimizer_of(protocol.finetuning)
    with computing(device):
        done = finetuning.finetune(
            pipe,
            model.parts.backbone,
            examples(pipe, model.parts.backbone, model.settings, optimizer.batch),
            profile.model_copy(update={"steps": _STEPS, "epochs": None}),
            optimizer,
            (512, 512),
            lambda *_: None,
        )
    return done.last_loss


@contextmanager
def _at_most(device: str, limit: float) -> Iterator[list[float]]:
    """Let this process use so many bytes; [the most that it had in use at once]."""
    import torch

    memory.release()
    torch.cuda.reset_peak_memory_stats(device)
    whole = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(limit / whole, device)
    peak = [0.0]
    try:
        yield peak
    finally:
        peak[0] = float(torch.cuda.max_memory_reserved(device))
        torch.cuda.set_per_process_memory_fraction(1.0, device)
        memory.release()
