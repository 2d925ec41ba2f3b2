"""A prompt: one row of a prompt set."""

from contextvars import ContextVar
from dataclasses import dataclass, field

SHOWN = ContextVar("SHOWN", default=False)
"""Whether messages may quote prompts, which may be harmful."""
_QUOTED = 200


@dataclass(frozen=True)
class Prompt:
    """What one image is generated from: a text, a seed, and what is known of them."""

    text: str
    seed: int
    categories: tuple[str, ...] = ()
    """What the prompt is harmful by; none in benign sets."""
    language: str = "en"
    guidance: float | None = None
    """The guidance scale of this row, from 0; None for the sampler's."""
    source: str = field(default="", compare=False)
    """The row's place in its file, and what its authors call it."""

    @property
    def shown(self) -> str | None:
        """Its text where that may be shown, cut after 200 characters."""
        return None if self.readable is None else self.readable[:_QUOTED]

    @property
    def readable(self) -> str | None:
        """Its whole text where that may be shown."""
        return self.text if SHOWN.get() or not self.source else None

    @property
    def named(self) -> str:
        """The prompt in a message: its row and seed, and its text where that may be shown."""
        row = f"the prompt at {self.source}" if self.source else "a prompt"
        text = "" if self.shown is None else f" ({self.shown!r})"
        return f"{row}{text}, seed {self.seed}"
