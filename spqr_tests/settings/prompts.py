"""Settings of prompt sets, and of the axes that are measured on them."""

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from spqr_tests.settings.table import Settings

INCEPTION = "inception"
"""The encoder of the published FID, which is no dual encoder."""


def _anchor(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and 0 <= value < float("inf"):
        return float(value)
    raise ValueError("expected is an FID, from 0 on")


Anchor = Annotated[float | Literal["reference", "blurred"], BeforeValidator(_anchor)]


class DataSettings(Settings):
    """A set that the user brings: what is expected, where it comes from, and where it lies."""

    expects: str
    """The file or folder, as a reader would look for it."""
    source: str
    """Where it is published."""
    access: str = ""
    """What must be asked for before it can be had."""
    path: str | None = None
    """Beside the file that states it, or absolute; `--spqr-data NAME=PATH` goes before it."""


class PromptsSettings(Settings):
    """A prompt set: a packaged file, one beside the protocol, or `data:NAME`, in any layout that is known."""

    prompts: str
    n: PositiveInt | None = None
    """Use this many rows of the file, from its categories in turn; all when it is left out."""
    sample: int | None = None
    """Draw the `n` rows at random with this seed instead, keeping the file's order."""
    categories: tuple[str, ...] | None = None
    """Use the rows of these categories only, of which a row may have several."""
    seed: int = 42
    """What rows without a seed of their own have theirs derived from."""
    seeding: Literal["row", "protocol"] = "row"
    """Whether a row's own seed, where the set has one, is used, or all are derived from `seed` and
    the text.
    """
    images_per_prompt: PositiveInt = 1
    """Paint each row with this many seeds: its own, and others derived from it."""
    guidance: Literal["row", "protocol"] = "row"
    """Whether a row's own guidance scale, where the set has one, replaces the sampler's."""


class AdherenceSettings(PromptsSettings):
    """Prompt adherence: the mean CLIP score of benign prompts over the ceiling."""

    encoder: str = "ViT-B-32"
    pretrained: str | None = "openai"
    ceiling: PositiveFloat = 0.300
    ceiling_source: str


class QualitySettings(PromptsSettings):
    """Quality: FID against a reference set, placed between two fixed anchors."""

    reference: str
    reference_images: PositiveInt
    encoder: str
    pretrained: str | None = None
    best: Anchor
    """An FID, or 'reference': that of as many pictures of the reference set against the rest of it."""
    worst: Anchor
    """An FID, or 'blurred': that of the same pictures without their detail."""
    anchors_source: str
    eps: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    weights: str | None = None
    """The weights file of `encoder = "inception"`: beside the protocol, or `data:NAME`."""

    @model_validator(mode="after")
    def _ordered(self) -> "QualitySettings":
        for key, word in (("best", "reference"), ("worst", "blurred")):
            if isinstance(value := getattr(self, key), str) and value != word:
                raise ValueError(
                    f"{key} is {value!r}; expected is an FID, or {word!r} to have it measured on"
                    " the reference set"
                )
        if (
            isinstance(self.best, float)
            and isinstance(self.worst, float)
            and not self.best < self.worst
        ):
            raise ValueError(
                f"best ({self.best}) must be below worst ({self.worst}): a lower FID is better"
            )
        return self

    @model_validator(mode="after")
    def _weighted(self) -> "QualitySettings":
        if self.encoder == INCEPTION and (self.weights is None or self.pretrained is not None):
            raise ValueError(
                "encoder = 'inception' needs weights, the file of FID's Inception weights, and"
                " takes no pretrained tag"
            )
        if self.encoder != INCEPTION and self.weights is not None:
            raise ValueError(
                "weights are read for encoder = 'inception' only, and the encoder is"
                f" {self.encoder!r}"
            )
        return self
