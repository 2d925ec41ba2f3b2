"""What this process spent: counters that a report sums over workers."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Literal

Stage = Literal["sampling", "training", "judging"]
STAGES = ("sampling", "training", "judging", "waiting")


@dataclass
class Cost:
    """Images generated, images judged (once per judge) and variants fine-tuned; seconds by stage.

    What the store already held is not counted.
    """

    generated: int = 0
    judged: int = 0
    finetuned: int = 0
    sampling: float = 0.0
    training: float = 0.0
    judging: float = 0.0
    waiting: float = 0.0
    """Seconds in which a worker had nothing to do, since others had to finish something first."""

    @contextmanager
    def during(self, stage: Stage) -> Iterator[None]:
        """Count the time of a block."""
        began = time.perf_counter()
        try:
            yield
        finally:
            setattr(self, stage, getattr(self, stage) + time.perf_counter() - began)

    def since(self, earlier: "Cost") -> dict[str, int | float]:
        """What was spent since `earlier` was copied."""
        before = asdict(earlier)
        return {name: value - before[name] for name, value in asdict(self).items()}
