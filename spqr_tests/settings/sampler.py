"""The sampler's settings: how one image is generated."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    BeforeValidator,
    Field,
    PositiveInt,
)

from spqr_tests.settings.table import Settings

_MOST_STEPS = 10_000
# Twice the largest that is published; Pillow refuses images of more than 89 million pixels.
_LONGEST_SIDE = 8192
_MOST_GUIDANCE = 10_000


def _up_to(most: int) -> Callable[[Any], Any]:
    def count(value: Any) -> Any:
        if value == "checkpoint" or (isinstance(value, int) and 0 < value <= most):
            return value
        raise ValueError(
            f"expected a whole number from 1 to {most:,}, or 'checkpoint' for the checkpoint's own"
        )

    return count


def _weight(value: Any) -> Any:
    if value == "checkpoint":
        return value
    if isinstance(value, int | float) and 0 <= value <= _MOST_GUIDANCE:
        return float(value)
    raise ValueError(
        f"expected a number from 0 to {_MOST_GUIDANCE:,}, or 'checkpoint' for the checkpoint's own"
    )


# Checked before the union: pydantic would report each of its members under a key of its own.
Steps = Annotated[
    Annotated[int, Field(ge=1, le=_MOST_STEPS)] | Literal["checkpoint"],
    BeforeValidator(_up_to(_MOST_STEPS)),
]
Side = Annotated[
    Annotated[int, Field(ge=1, le=_LONGEST_SIDE)] | Literal["checkpoint"],
    BeforeValidator(_up_to(_LONGEST_SIDE)),
]
Weight = Annotated[
    Annotated[float, Field(ge=0, le=_MOST_GUIDANCE)] | Literal["checkpoint"],
    BeforeValidator(_weight),
]


class Numbers(NamedTuple):
    """Steps, guidance scale and size of one image; height and width in pixels."""

    steps: int
    guidance: float
    height: int
    width: int


class SamplerSettings(Settings):
    """How one image is generated.

    'checkpoint' means what the checkpoint's authors publish, and its own resolution.
    """

    scheduler: Literal["checkpoint", "ddim", "dpmsolver++", "euler"] = "checkpoint"
    """The sampling method; "checkpoint" is the scheduler that the checkpoint ships with."""
    steps: Steps = 50
    """Denoising steps of an image."""
    guidance: Weight = 7.5
    """The scale of classifier-free guidance, or of a distilled model's guidance input."""
    height: Side = 512
    """The height of an image in pixels."""
    width: Side = 512
    """The width of an image in pixels."""
    micro_batch: Annotated[PositiveInt, Field(le=1024)] = 8
    """Images that are generated at once; it is part of the hash, since it moves pixels a little."""
    dtype: Literal["float32", "float16", "bfloat16"] = "float16"
    """The precision in which the model is loaded to generate images."""

    def resolved(self, steps: int, guidance: float, side: int) -> "SamplerSettings":
        """The same settings with these numbers where they say 'checkpoint'; `side` in pixels.

        The scheduler stays as it is.
        """
        own = {"steps": steps, "guidance": float(guidance), "height": side, "width": side}
        return self.model_copy(
            update={key: value for key, value in own.items() if getattr(self, key) == "checkpoint"}
        )

    @property
    def numbers(self) -> Numbers:
        """Steps, guidance and size; `ValueError` while one of them is still 'checkpoint'."""
        steps, guidance, height, width = self.steps, self.guidance, self.height, self.width
        if (
            steps == "checkpoint"
            or guidance == "checkpoint"
            or height == "checkpoint"
            or width == "checkpoint"
        ):
            raise ValueError("the sampler's settings still say 'checkpoint'")
        return Numbers(steps, guidance, height, width)
