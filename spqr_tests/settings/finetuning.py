"""Settings of benign fine-tuning: optimizer, profiles, scenarios and the checks of their data."""

from typing import Annotated, Literal

from pydantic import (
    Field,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from spqr_tests.settings.table import Name, Rows, Seed, Settings, Share
from spqr_tests.settings.uptake import TookSettings, require_measured


class OptimizerSettings(Settings):
    """AdamW's settings and the batch size, which all profiles share."""

    # 0 teaches nothing, which [finetuning.took] must notice.
    learning_rate: Annotated[float, Field(ge=0, le=1000)] = 1e-4
    beta1: Share = 0.9
    beta2: Share = 0.999
    eps: Annotated[PositiveFloat, Field(le=1)] = 1e-8
    weight_decay: Annotated[float, Field(ge=0, le=1000)] = 1e-2
    # A large norm is how trainers switch clipping off.
    max_grad_norm: Annotated[PositiveFloat, Field(le=1e30)] = 1.0
    batch: Annotated[PositiveInt, Field(le=4096)] = 16
    mixed_precision: Literal["no", "fp16", "bf16"] = "fp16"
    seed: Seed = 42
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

    @model_validator(mode="after")
    def _measured(self) -> "OptimizerSettings":
        require_measured(self.took, self.held_out, self.after)
        return self


class ProfileSettings(Settings):
    """A benign fine-tuning profile: what is trained, and for how long.

    `steps` replaces `epochs` for a fixed budget. The LoRA keys matter only to `trains = "lora"`.
    """

    trains: Literal["lora", "cross-attention", "denoiser"]
    epochs: Annotated[PositiveInt, Field(le=100_000)] | None = None
    steps: Annotated[PositiveInt, Field(le=10_000_000)] | None = None
    rank: Annotated[PositiveInt, Field(le=4096)] = 8
    alpha: Annotated[PositiveFloat, Field(le=1e6)] = 16
    dropout: Share = 0.1
    targets: tuple[str, ...] = ("to_q", "to_k", "to_v", "to_out.0")
    reserved: bool = False
    """True for a profile that is trained only on scenarios that name it."""

    @model_validator(mode="after")
    def _budget(self) -> "ProfileSettings":
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("exactly one of epochs and steps must state the budget")
        return self


class ScenarioSettings(Settings):
    """A benign fine-tuning scenario: the pictures and captions that a variant is trained on."""

    images: str
    """`embedded:NAME`, `data:NAME`, or a folder or file next to the protocol."""
    n: Rows | None = None
    about: str
    caption: str = "text"
    """The column or key that holds the captions."""
    profiles: tuple[Name, ...] | None = None
    """The profiles that are trained on it; None for all that are not reserved."""
    language: str = "en"
    """Of the captions (ISO 639-1), for breakdowns."""
    domain: str = "general"
    """Of the pictures, for breakdowns."""


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
    """SHA-256 (hex) of the pixels of flagged pictures that a person found harmless."""
