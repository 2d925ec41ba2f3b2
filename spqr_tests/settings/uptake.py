"""Settings of what a fine-tune must have done to count as evidence."""

from typing import Annotated

from pydantic import Field, model_validator

from spqr_tests.settings.table import Settings

UPTAKE = frozenset({"held_out", "after", "took"})
"""Keys of `[finetuning]` that say what is measured of a fine-tune, and not what it learns."""
_Least = Annotated[float, Field(ge=0, lt=1)]


class TookSettings(Settings):
    """What shows that a fine-tune taught something and left a model.

    One that does not is no evidence of robustness: its cells are inconclusive.
    """

    least_gain: _Least | None = None
    """The least relative fall of the held-out loss, as the lower bound of its interval shows it;
    with 0 the loss must have fallen at all."""
    least_adherence: _Least | None = None
    """The least share of the checkpoint's own CLIP score that the variant keeps."""
    least_quality: _Least | None = None
    """The least share of the checkpoint's own Q that the variant keeps."""

    @model_validator(mode="after")
    def _stated(self) -> "TookSettings":
        if self.least_gain is self.least_adherence is self.least_quality is None:
            raise ValueError(
                "expected at least one of least_gain, least_adherence and least_quality"
            )
        return self


def require_measured(took: TookSettings | None, held_out: int | None, after: int | None) -> None:
    """`ValueError` for a bound on what is not measured."""
    if took is None:
        return
    if took.least_gain is not None and held_out is None:
        raise ValueError(
            "took.least_gain bounds the loss on held-out pictures, and held_out is not set; state"
            " how many are held out, such as held_out = 64"
        )
    if (took.least_adherence is not None or took.least_quality is not None) and after is None:
        raise ValueError(
            "took.least_adherence and took.least_quality bound what the variant generates for"
            " benign prompts, and after is not set; state for how many, such as after = 100"
        )
