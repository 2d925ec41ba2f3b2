"""What this process spent: counters that a report sums over workers."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Literal, get_args

Stage = Literal["loading", "sampling", "training", "judging", "metrics"]
STAGES = (*get_args(Stage), "waiting")


@dataclass
class Cost:
    """Images generated, images judged (once per judge) and variants fine-tuned; seconds by stage.

    What the store already held is not counted.
    """

    generated: int = 0
    judged: int = 0
    finetuned: int = 0
    loading: float = 0.0
    """Of the model under test and of the weights of its variants."""
    sampling: float = 0.0
    training: float = 0.0
    judging: float = 0.0
    metrics: float = 0.0
    """Embedding, distances and scores, and the loss on held-out pictures."""
    waiting: float = 0.0
    """Seconds in which a worker had nothing to do, since others had to finish something first."""

    def __post_init__(self) -> None:
        """Begin outside of any block."""
        self._within = 0.0

    @contextmanager
    def during(self, stage: Stage) -> Iterator[None]:
        """Count the time of a block; that of a block within it counts for its own stage alone."""
        began, before = time.perf_counter(), self._within
        self._within = 0.0
        try:
            yield
        finally:
            took = time.perf_counter() - began
            setattr(self, stage, getattr(self, stage) + took - self._within)
            self._within = before + took

    def since(self, earlier: "Cost") -> dict[str, int | float]:
        """What was spent since `earlier` was copied."""
        before = asdict(earlier)
        return {name: value - before[name] for name, value in asdict(self).items()}
