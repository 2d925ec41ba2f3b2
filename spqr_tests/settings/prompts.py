"""Settings of prompt sets and of the axes that are measured on them."""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from spqr_tests import quotes
from spqr_tests.settings.table import Rows, Seed, Settings
from spqr_tests.verdict.thresholds import MOST_DISTANCE

Distance = Literal["fid", "kid", "cmmd"]
"""By which images are compared with the reference set."""
INCEPTION = "inception"
"""The encoder of the published FID; it is not a dual encoder."""


def _anchor(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and 0 <= value <= MOST_DISTANCE:
        return float(value)
    raise ValueError(
        f"expected a distance (an FID, or what quality.distance says) from 0 to {MOST_DISTANCE:,}"
    )


def _unless_fid(value: Distance) -> Distance | None:
    # The default is None, which a hash leaves out: what says "fid" is the same protocol.
    return None if value == "fid" else value


# pandas writes 1.0 where another row of the column is empty.
_WHOLE = re.compile(r"(\d+)\.0+", re.ASCII)


def cell_value(cell: Any) -> str:
    """A cell as `where` compares it: 1, 1.0 and "1" are '1', true is 'true', none is ''."""
    if cell is None:
        return ""
    text = str(cell).strip()
    if isinstance(cell, bool) or text in {"True", "False"}:
        return text.lower()
    return whole[1] if (whole := _WHOLE.fullmatch(text)) else text


def _where(value: Any) -> Any:
    if not isinstance(value, dict) or not value:
        raise ValueError('expected a column and its values, such as {type = ["erased"]}')
    for name, values in value.items():
        scalars = isinstance(values, list | tuple) and all(
            isinstance(one, str | int | float) for one in values
        )
        if not scalars or not values:
            raise ValueError(
                f'expected a list of values for {quotes.cut(str(name))}, such as type = ["1"]'
            )
    if len({str(name).strip().casefold() for name in value}) < len(value):
        raise ValueError("expected each column once, in small or capital letters")
    # In one order, so that the hash is of what is selected.
    return {
        name.strip().casefold(): tuple(sorted({cell_value(one) for one in value[name]}))
        for name in sorted(value)
    }


Where = Annotated[dict[str, tuple[str, ...]], BeforeValidator(_where)]
Anchor = Annotated[
    Annotated[float, Field(ge=0, le=MOST_DISTANCE)] | Literal["reference", "blurred"],
    BeforeValidator(_anchor),
]


class DataSettings(Settings):
    """A set that the user brings: what is expected, its source and its path."""

    expects: str
    """The file or folder, as a reader would look for it."""
    source: str
    """Where it is published."""
    access: str = ""
    """What a user must request to get access."""
    path: str | None = None
    """Absolute, or relative to the file that states it; `--spqr-data NAME=PATH` overrides it."""


class PromptsSettings(Settings):
    """A prompt set: a packaged file, one next to the protocol, or `data:NAME`.

    It may have any of the known layouts.
    """

    prompts: str
    """The packaged name of the set, a path next to the protocol, or `data:NAME`."""
    n: Rows | None = None
    """Use this many rows of the file, from its categories in turn; None for all."""
    sample: Seed | None = None
    """Draw the `n` rows at random with this seed instead, keeping the file's order."""
    categories: tuple[str, ...] | None = None
    """Use only rows of these categories; a row may have several."""
    where: Where | None = None
    """Use only rows that have one of these values in each of these columns. It also states which
    rows a set takes where the file does not, such as `{type = ["1"]}`.
    """
    seed: Seed = 42
    """The seed from which rows without one derive theirs."""
    seeding: Literal["row", "protocol"] = "row"
    """'row': a row's own seed if it has one; 'protocol': all derive from `seed` and the text."""
    images_per_prompt: Annotated[PositiveInt, Field(le=10_000)] = 1
    """Generate each row with this many seeds: its own, and others derived from it."""
    guidance: Literal["row", "protocol"] = "row"
    """Whether a row's own guidance scale, if it has one, replaces the sampler's."""
    cut: Literal["refused", "allowed"] = "refused"
    """Whether a prompt may have words behind the token limit of every encoder, where no one reads
    them. An image without them says nothing about a harmful prompt; of a benign set, it is the CLIP
    score's encoder that counts.
    """


class AdherenceSettings(PromptsSettings):
    """Prompt adherence: the mean CLIP score of benign prompts, divided by the ceiling."""

    encoder: str = "ViT-B-32"
    """An open_clip model, its folder (`local-dir:FOLDER`, `data:NAME`), or `embedded:judge`."""
    pretrained: str | None = "openai"
    """The tag of the open_clip model's weights; an encoder from a folder has none."""
    ceiling: Annotated[PositiveFloat, Field(le=100)] = 0.300
    """The mean CLIP score, a cosine, at which P is 1."""
    ceiling_source: str
    """Where the ceiling is from; a reader's note that is not hashed."""


class QualitySettings(PromptsSettings):
    """Quality: a distance to a reference set, placed between two fixed anchors."""

    reference: str
    """The reference pictures: `embedded:NAME`, a path next to the protocol, or `data:NAME`."""
    reference_images: Annotated[PositiveInt, Field(le=1_000_000)]
    """How many of the reference pictures are used."""
    encoder: str
    """What makes the features: "inception", or an encoder as `adherence.encoder` may name one."""
    pretrained: str | None = None
    """The tag of the open_clip model's weights; an encoder from a folder has none."""
    distance: Annotated[Distance, AfterValidator(_unless_fid)] | None = None
    """What Q is placed by; None is "fid". KID and CMMD do not depend on the number of images."""
    best: Anchor
    """A distance, or 'reference': that of as many reference pictures to the rest of them."""
    worst: Anchor
    """A distance, or 'blurred': that of the same pictures without their detail."""
    anchors_source: str
    """Where the anchors are from; a reader's note that is not hashed."""
    eps: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """Q is clipped to at least this and at most 1 minus this."""
    weights: str | None = None
    """The weights file of `encoder = "inception"`: next to the protocol, or `data:NAME`."""

    @property
    def placed_by(self) -> Distance:
        """The distance between whose anchors Q is placed."""
        return self.distance or "fid"

    @model_validator(mode="after")
    def _ordered(self) -> "QualitySettings":
        placed_by = "an FID" if self.distance is None else f"a {self.distance.upper()}"
        for key, word in (("best", "reference"), ("worst", "blurred")):
            if isinstance(value := getattr(self, key), str) and value != word:
                raise ValueError(
                    f"{key} is {quotes.shown(value)}; expected {placed_by}, or {word!r} to measure"
                    " it on the reference set"
                )
        if (
            isinstance(self.best, float)
            and isinstance(self.worst, float)
            and not self.best < self.worst
        ):
            raise ValueError(
                f"best ({self.best}) must be below worst ({self.worst}): a lower"
                f" {self.placed_by.upper()} is better"
            )
        return self

    @model_validator(mode="after")
    def _weighted(self) -> "QualitySettings":
        if self.encoder == INCEPTION and (self.weights is None or self.pretrained is not None):
            raise ValueError(
                "encoder = 'inception' needs weights, the file of FID's Inception weights, and does"
                " not accept a pretrained tag"
            )
        if self.encoder != INCEPTION and self.weights is not None:
            raise ValueError(
                "weights applies only to encoder = 'inception', and the encoder is"
                f" {quotes.shown(self.encoder)}"
            )
        if self.encoder == INCEPTION and self.placed_by == "cmmd":
            raise ValueError(
                "distance = 'cmmd' is defined on CLIP features, whose length is 1, and the encoder"
                " is 'inception'; expected 'kid' or 'fid', or an open_clip model as the encoder"
            )
        return self
