"""How users' trainers differ from the paper's fine-tune: what a profile may state beside it.

Every key is absent by default, and a profile without one is trained as before.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from spqr_tests import quotes
from spqr_tests.settings.table import Settings, Share

OFF = "off"
_MOST_RANK = 4096
_MOST_STEPS = 10_000_000

Alpha = Annotated[PositiveFloat, Field(le=1e6)]
Rank = Annotated[PositiveInt, Field(le=_MOST_RANK)]
LearningRate = Annotated[PositiveFloat, Field(le=1000)]
Text = Annotated[str, Field(min_length=1)]


def _or_off(least: float, most: float) -> BeforeValidator:
    """A number between these two, or 'off'; checked before the union, which has no sentence."""

    def number(value: Any) -> Any:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is None or value == OFF or (is_number and least < value < most):
            return value
        raise ValueError(f"expected a number between {least:g} and {most:g}, or 'off'")

    return BeforeValidator(number)


Gamma = Annotated[Annotated[float, Field(gt=0, lt=1e6)] | Literal["off"] | None, _or_off(0, 1e6)]
Decay = Annotated[Annotated[float, Field(gt=0, lt=1)] | Literal["off"] | None, _or_off(0, 1)]


class TextEncoderSettings(Settings):
    """A LoRA on the text encoders, trained together with the denoiser's."""

    learning_rate: LearningRate | None = None
    """The learning rate of the text encoders; None for the denoiser's."""
    rank: Rank | None = None
    """The rank of their LoRA; None for the denoiser's."""
    alpha: Alpha | None = None
    """The alpha of their LoRA; None for the denoiser's."""
    targets: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "q_proj",
        "k_proj",
        "v_proj",
        "out_proj",
    )
    """The ends of the names of the layers that get a LoRA."""
    encoders: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """The components, such as `text_encoder_2`; None for every CLIP text encoder."""
    epochs: Annotated[PositiveInt, Field(le=100_000)] | None = None
    """After so many epochs they are trained no further; None for all."""


class PriorSettings(Settings):
    """DreamBooth's prior preservation (arXiv 2208.12242).

    The checkpoint itself generates images of the class, and is trained on them too.
    """

    class_prompt: Text
    """What the class is called, such as 'a photo of a dog'."""
    images: Annotated[PositiveInt, Field(le=100_000)] = 100
    """How many images of the class the checkpoint generates."""
    weight: Annotated[PositiveFloat, Field(le=1e6)] = 1.0
    """The weight of the loss on these images, next to 1 for that on the pictures."""


class InversionSettings(Settings):
    """Textual inversion (arXiv 2208.01618): a new word, whose embedding alone is trained."""

    placeholder: Annotated[str, Field(pattern=r"^<[a-z0-9-]+>$")] = "<spqr-concept>"
    """The new word. No tokenizer of the checkpoint may know it."""
    initializer: Text
    """The word, of one token, whose embedding it begins with."""
    property: Literal["object", "style"] = "object"
    """Which of diffusers' templates replace the captions."""


class TrainerSettings(Settings):
    """What a profile states of the trainer that it stands for; the rest is as in `[finetuning]`."""

    learning_rate: LearningRate | None = None
    """What `finetuning.learning_rate` is for this profile."""
    beta1: Share | None = None
    """What `finetuning.beta1` is for this profile."""
    beta2: Share | None = None
    """What `finetuning.beta2` is for this profile."""
    eps: Annotated[PositiveFloat, Field(le=1)] | None = None
    """What `finetuning.eps` is for this profile."""
    weight_decay: Annotated[float, Field(ge=0, le=1000)] | None = None
    """What `finetuning.weight_decay` is for this profile."""
    max_grad_norm: Annotated[PositiveFloat, Field(le=1e30)] | None = None
    """What `finetuning.max_grad_norm` is for this profile."""
    batch: Annotated[PositiveInt, Field(le=4096)] | None = None
    """What `finetuning.batch` is for this profile."""
    mixed_precision: Literal["no", "fp16", "bf16"] | None = None
    """What `finetuning.mixed_precision` is for this profile."""
    min_snr_gamma: Gamma = None
    """What `finetuning.min_snr_gamma` is for this profile; "off" for none here."""
    ema_decay: Decay = None
    """What `finetuning.ema_decay` is for this profile; "off" for none here."""
    optimizer: Literal["adamw", "adamw8bit"] | None = None
    """The optimizer. 'adamw8bit' is bitsandbytes' on a GPU where it is installed, otherwise AdamW
    in full precision; the key of what is trained says which of the two it was.
    """
    schedule: (
        Literal["constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts"]
        | None
    ) = None
    """The learning rate over the steps, as `diffusers.optimization.get_scheduler` has it."""
    warmup_steps: Annotated[int, Field(ge=0, le=_MOST_STEPS)] | None = None
    """Steps over which the learning rate rises from 0."""
    cycles: Annotated[PositiveInt, Field(le=10_000)] | None = None
    """How many cycles cosine_with_restarts has."""
    accumulation: Annotated[PositiveInt, Field(le=4096)] | None = None
    """How many batches' gradients make one step."""
    caption_dropout: Share | None = None
    """The share of captions that are replaced by the empty one."""
    noise_offset: Annotated[PositiveFloat, Field(le=10)] | None = None
    """The strength of noise that is added alike to all of a channel."""
    guidance: Annotated[float, Field(ge=0, le=10_000)] | None = None
    """The guidance in training, of a model whose guidance is an input; None for 1."""
    times: Literal["logit_normal", "uniform", "sigmoid", "flux_shift"] | None = None
    """How flow matching draws noise levels; None for logit_normal."""
    pattern: Text | None = None
    """A regular expression for the whole names of a LoRA's layers, in place of `targets`."""
    ranks: Annotated[Mapping[str, Rank], Field(min_length=1)] | None = None
    """Other ranks for layers by a regular expression for the end of their names."""
    alphas: Annotated[Mapping[str, Alpha], Field(min_length=1)] | None = None
    """Other alphas, likewise."""
    init: Literal["gaussian", "kaiming"] | None = None
    """How a LoRA's first matrix begins; None for gaussian. The second one is zero."""
    text_encoder: TextEncoderSettings | None = None
    """The LoRA on the text encoders; none by default."""
    instance_prompt: Text | None = None
    """One caption for all pictures, in place of their own."""
    prior: PriorSettings | None = None
    """The prior preservation of DreamBooth; none by default."""
    inversion: InversionSettings | None = None
    """The new word of a textual inversion; only with `trains = "embedding"`."""
    recipe: str | None = None
    """The packaged recipe that the numbers are from."""
    families: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """The backbones, by name, that the recipe exists for; None for all."""

    @field_validator("pattern")
    @classmethod
    def _is_expression(cls, pattern: str | None) -> str | None:
        _compile(*([] if pattern is None else [pattern]))
        return pattern

    @field_validator("ranks", "alphas")
    @classmethod
    def _are_expressions(cls, table: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        _compile(*(table or {}))
        return table

    @model_validator(mode="after")
    def _schedule(self) -> "TrainerSettings":
        if self.warmup_steps and self.schedule in {None, "constant"}:
            raise ValueError(
                "warmup_steps means nothing to a constant schedule; set schedule ="
                " 'constant_with_warmup', or leave it out"
            )
        if self.cycles is not None and self.schedule != "cosine_with_restarts":
            raise ValueError("cycles needs schedule = 'cosine_with_restarts'")
        return self


def _compile(*expressions: str) -> None:
    import re

    for one in expressions:
        try:
            re.compile(one)
        except re.error as error:
            raise ValueError(
                f"{quotes.shown(one)} is not a regular expression ({error})"
            ) from error
