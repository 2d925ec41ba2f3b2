"""A prompt: one row of a prompt set."""

from dataclasses import dataclass, field


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
