"""Settings of benign fine-tuning: optimizer, profiles, scenarios and the checks of their data."""

import hashlib
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from spqr_tests import quotes
from spqr_tests.settings.table import Name, Rows, Seed, Settings, Share
from spqr_tests.settings.trainer import OFF, TrainerSettings
from spqr_tests.settings.uptake import TookSettings, require_measured

Replicates = Annotated[int, Field(ge=1, le=64)]
REPLICATION = frozenset(
    {
        "replicates",
        "training_icc",
        "training_icc_trainings",
        "training_icc_category",
        "training_icc_source",
    }
)
"""The keys that say how often trainings are repeated and not what one of them learns."""

Steps = Annotated[PositiveInt, Field(le=10_000_000)]
_WITHOUT_AN_END = (None, "constant", "constant_with_warmup")
"""Schedules by which the learning rate of a step does not depend on the steps that follow."""


class OptimizerSettings(Settings):
    """AdamW's settings and the batch size, which all profiles share."""

    # 0 teaches nothing, which [finetuning.took] must notice.
    learning_rate: Annotated[float, Field(ge=0, le=1000)] = 1e-4
    """The learning rate of AdamW."""
    beta1: Share = 0.9
    """The decay of AdamW's mean of the gradients."""
    beta2: Share = 0.999
    """The decay of AdamW's mean of the squared gradients."""
    eps: Annotated[PositiveFloat, Field(le=1)] = 1e-8
    """The number that keeps AdamW from a division by zero."""
    weight_decay: Annotated[float, Field(ge=0, le=1000)] = 1e-2
    """The weight decay of AdamW."""
    # A large norm is how trainers switch clipping off.
    max_grad_norm: Annotated[PositiveFloat, Field(le=1e30)] = 1.0
    """The norm to which a step's gradients are clipped."""
    batch: Annotated[PositiveInt, Field(le=4096)] = 16
    """Pictures of a batch."""
    mixed_precision: Literal["no", "fp16", "bf16"] = "fp16"
    """The precision of the training's forward passes; "no" is float32."""
    seed: Seed = 42
    """The seed of the pictures' order, of noise and of what dropout drops."""
    min_snr_gamma: Annotated[PositiveFloat, Field(le=1e6)] | None = None
    """Gamma of min-SNR weighting (arXiv 2303.09556) of a diffusion model's loss; None for off."""
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Keep a moving average of the trained weights, with at most this decay; None for off."""
    held_out: Annotated[int, Field(ge=2, le=100_000)] | None = None
    """Pictures of each benign set that are not trained on: what of them the fine-tune taught is
    measured by its loss before and after; None for off."""
    after: Annotated[int, Field(ge=2, le=100_000)] | None = None
    """Benign prompts for which each variant generates images too, for P and Q after fine-tuning;
    None for off."""
    took: TookSettings | None = None
    """What a fine-tune must show to be evidence of robustness; None for nothing."""
    replicates: Replicates = 1
    """How often each variant is trained; the seeds of further trainings derive from `seed`."""
    training_icc: Share = 0.04
    """The intraclass correlation of images' flags in one training: how much trainings that differ
    in the seed alone differ in harmfulness."""
    training_icc_trainings: Annotated[int, Field(ge=2, le=100_000)] = 20
    """The number of trainings that this is known from."""
    training_icc_category: Annotated[float, Field(ge=1, le=100)] = 1.5
    """How many times larger it is for the images of one category."""
    training_icc_source: str = (
        "assumed: nine variants of the embedded world have 0.026 on average (27 trainings; 0.09 at"
        " most), and nobody has published another figure"
    )
    """Where this is known from; a reader's note that is not hashed."""

    @model_validator(mode="after")
    def _measured(self) -> "OptimizerSettings":
        require_measured(self.took, self.held_out, self.after)
        return self

    def training_seed(self, training: int) -> int:
        """The seed of one of the replicates, from 0; the first has the protocol's own.

        >>> OptimizerSettings().training_seed(0), OptimizerSettings().training_seed(1)
        (42, 4226076510)
        """
        if training == 0:
            return self.seed
        # 32 bits: what every generator takes.
        return int(
            hashlib.sha256(f"training {training} of {self.seed}".encode()).hexdigest()[:8], 16
        )


class ProfileSettings(TrainerSettings):
    """A benign fine-tuning profile: what is trained, and for how long.

    `steps` replaces `epochs` for a fixed budget. The LoRA keys matter only to `trains = "lora"`.
    """

    trains: Literal["lora", "cross-attention", "denoiser", "embedding"]
    """What is trained: a LoRA, all cross-attention, the whole denoiser, a new word's embedding."""
    epochs: Annotated[PositiveInt, Field(le=100_000)] | None = None
    """The budget in passes over the pictures; either this or `steps`."""
    steps: Steps | None = None
    """The budget in optimizer steps; either this or `epochs`."""
    rank: Annotated[PositiveInt, Field(le=4096)] = 8
    """The rank of the LoRA."""
    alpha: Annotated[PositiveFloat, Field(le=1e6)] = 16
    """The alpha of the LoRA, whose update is scaled by alpha / rank."""
    dropout: Share = 0.1
    """The dropout in front of the LoRA."""
    targets: tuple[str, ...] = ("to_q", "to_k", "to_v", "to_out.0")
    """The ends of the names of the layers that get a LoRA."""
    replicates: Replicates | None = None
    """How often it is trained; None for `finetuning.replicates`."""
    training_icc: Share | None = None
    """What `finetuning.training_icc` is for this profile; None for the same."""
    reserved: bool = False
    """True for a profile that is trained only on scenarios that name it."""
    curve: Annotated[tuple[Steps, ...], Field(min_length=1, max_length=100)] | None = None
    """Steps of the one training at which the variant is kept and its drift is measured.

    Not part of what is trained: the variant at a step is that of a training of so many steps.
    """

    @model_validator(mode="after")
    def _budget(self) -> "ProfileSettings":
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("exactly one of epochs and steps must state the budget")
        return self

    @model_validator(mode="after")
    def _trained(self) -> "ProfileSettings":
        for key in ("pattern", "ranks", "alphas", "init", "text_encoder"):
            if getattr(self, key) is not None and self.trains != "lora":
                raise ValueError(
                    f"{key} needs trains = 'lora', and this profile trains {self.trains}"
                )
        if (self.trains == "embedding") != (self.inversion is not None):
            raise ValueError("trains = 'embedding' and the table inversion need each other")
        return self

    @model_validator(mode="after")
    def _kept_on_the_way(self) -> "ProfileSettings":
        curve = self.curve or ()
        if any(one >= other for one, other in pairwise(curve)):
            raise ValueError("curve must be steps in increasing order, each once")
        if curve and self.steps is not None and curve[-1] > self.steps:
            raise ValueError(
                f"curve ends at step {curve[-1]}, but the training has {self.steps} steps"
            )
        if curve and self.schedule not in _WITHOUT_AN_END:
            raise ValueError(
                f"curve needs a learning rate that does not depend on how long the training is, and"
                f" schedule = {quotes.shown(self.schedule)} does: its variant at a step is not that"
                " of a training of so many steps; take a constant schedule, or one profile for each"
                " length"
            )
        return self

    def optimizer_of(self, shared: OptimizerSettings) -> OptimizerSettings:
        """The optimizer in force: the shared one with what this profile states of its own."""
        own = {
            key: value
            for key in OptimizerSettings.model_fields
            if (value := getattr(self, key, None)) is not None
        }
        return shared.model_copy(
            update={key: None if value == OFF else value for key, value in own.items()}
        )

    @property
    def recipe_of_training(self) -> dict[str, Any]:
        """What decides a training, for its key.

        What the optimizer in force states is left out, what is kept on the way, and what a profile
        does not state of its trainer, so that later keys leave today's keys as they are.
        """
        elsewhere = {*OptimizerSettings.model_fields, "recipe", "families"}
        trainers = {key: getattr(self, key) for key in TrainerSettings.model_fields}
        stated = {
            key: _without_none(value)
            for key, value in trainers.items()
            if key not in elsewhere and value is not None
        }
        return self.model_dump(exclude=set(trainers) | REPLICATION | {"curve"}) | stated


def _without_none(value: Any) -> Any:
    return value.model_dump(exclude_none=True) if isinstance(value, Settings) else value


class ScenarioSettings(Settings):
    """A benign fine-tuning scenario: the pictures and captions that a variant is trained on."""

    images: str
    """The pictures: `embedded:NAME`, `data:NAME`, or a folder or file next to the protocol."""
    n: Rows | None = None
    """Use the first so many pictures; None for all."""
    about: str
    """What the scenario stands for; a reader's note that is not hashed."""
    caption: str = "text"
    """The column or key that holds the captions."""
    profiles: tuple[Name, ...] | None = None
    """The profiles that are trained on it; None for all that are not reserved."""
    language: str = "en"
    """The language of the captions (ISO 639-1), for breakdowns."""
    domain: str = "general"
    """The domain of the pictures, for breakdowns."""


class ThreatSettings(Settings):
    """Checks of a benign set before anything is trained on it.

    The paper's unintentional attacker has no harmful sample.
    """

    images: bool = True
    """Check that no judge flags one of its pictures."""
    captions: bool = True
    """Check that no caption is a harmful prompt or names what a concept judge forbids."""
    judges: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """The judges that look at the pictures; None for all."""
    cleared: tuple[Annotated[str, Field(pattern="^[0-9a-f]{64}$")], ...] = ()
    """The SHA-256 (hex) of the pixels of flagged pictures that a person found harmless."""
