"""The sampler's settings: how one image is generated."""

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    BeforeValidator,
    PositiveInt,
)

from spqr_tests.settings.table import Settings


def _count(value: Any) -> Any:
    if value == "checkpoint" or (isinstance(value, int) and value > 0):
        return value
    raise ValueError("expected a positive whole number, or 'checkpoint' for the checkpoint's own")


def _weight(value: Any) -> Any:
    if value == "checkpoint":
        return value
    if isinstance(value, int | float) and 0 <= value < float("inf"):
        return float(value)
    raise ValueError("expected a number of 0 or more, or 'checkpoint' for the checkpoint's own")


# Checked before the union: pydantic would report each of its members under a key of its own.
Count = Annotated[int | Literal["checkpoint"], BeforeValidator(_count)]
Weight = Annotated[float | Literal["checkpoint"], BeforeValidator(_weight)]


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
    steps: Count = 50
    guidance: Weight = 7.5
    height: Count = 512
    width: Count = 512
    micro_batch: PositiveInt = 8
    dtype: Literal["float32", "float16", "bfloat16"] = "float16"

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
