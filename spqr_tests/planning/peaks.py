"""The memory peaks of a run: what each kind of work that is left takes, and whether it fits."""

from collections.abc import Iterable, Sequence

from spqr_tests.planning import devices, plan
from spqr_tests.planning.flops import Flops
from spqr_tests.planning.memory import Memory
from spqr_tests.run.run import Run
from spqr_tests.store import device


def of(
    run: Run, flops: Flops, images: Sequence[plan.Images], left: Iterable[str], card: str | None
) -> list[plan.MemoryPeak]:
    """Of generating, and of each profile that is `left` to train.

    `card` is one of `devices.DEVICES`, or None for the run's own device.
    """
    settings = run.protocol.settings
    memory = Memory(run.checkpoint.parts, settings.sampler, flops)
    room = device.memory(run.device) if card is None else devices.DEVICES[card].memory
    found = []
    if any(one.stored < one.images for one in images):
        peak = memory.generation()
        found.append(
            plan.MemoryPeak(
                of="generating",
                batch=settings.sampler.micro_batch,
                bytes=peak,
                least=None,
                fits=None if room is None else peak <= room,
            )
        )
    for name in dict.fromkeys(left):
        profile = settings.profiles[name]
        least = memory.training(profile, settings.finetuning, checkpointing=True)
        found.append(
            plan.MemoryPeak(
                of=f"training {name}",
                batch=memory.batch(profile, settings.finetuning),
                bytes=max(least, memory.training(profile, settings.finetuning)),
                least=least,
                fits=None if room is None else least <= room,
            )
        )
    return found
