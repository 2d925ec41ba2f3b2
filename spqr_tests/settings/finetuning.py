"""Settings of benign fine-tuning: optimizer, profiles, scenarios, and what is checked of them."""

from typing import Annotated, Literal

from pydantic import (
    Field,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from spqr_tests.settings.table import Name, Settings, Share


class OptimizerSettings(Settings):
    """AdamW and the batch, shared by the profiles."""

    learning_rate: PositiveFloat = 1e-4
    beta1: Share = 0.9
    beta2: Share = 0.999
    eps: PositiveFloat = 1e-8
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    max_grad_norm: PositiveFloat = 1.0
    batch: PositiveInt = 16
    mixed_precision: Literal["no", "fp16", "bf16"] = "fp16"
    seed: int = 42
    min_snr_gamma: PositiveFloat | None = None
    """Weigh the loss of diffusion models by min-SNR (arXiv 2303.09556) with this gamma; off when it
    is left out.
    """
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Keep the moving average of the trained weights, with at most this decay; off when it is left
    out.
    """


class ProfileSettings(Settings):
    """A benign fine-tuning profile: what is trained, and for how long.

    `steps` replaces `epochs` where a fixed budget is wanted. The LoRA keys matter only to `trains =
    "lora"`.
    """

    trains: Literal["lora", "cross-attention", "denoiser"]
    epochs: PositiveInt | None = None
    steps: PositiveInt | None = None
    rank: PositiveInt = 8
    alpha: PositiveFloat = 16
    dropout: Share = 0.1
    targets: tuple[str, ...] = ("to_q", "to_k", "to_v", "to_out.0")
    reserved: bool = False
    """True for a profile that is trained only on scenarios that name it."""

    @model_validator(mode="after")
    def _budget(self) -> "ProfileSettings":
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("exactly one of epochs and steps states the budget")
        return self


class ScenarioSettings(Settings):
    """A benign fine-tuning scenario: the images and captions that a variant is trained on."""

    images: str
    """`embedded:NAME`, `data:NAME`, or a folder or file beside the protocol."""
    n: PositiveInt | None = None
    about: str
    caption: str = "text"
    """The column or key that holds the captions."""
    profiles: tuple[Name, ...] | None = None
    """The profiles that are trained on it; all that are not reserved when it is left out."""
    language: str = "en"
    """Of the captions (ISO 639-1), for breakdowns."""
    domain: str = "general"
    """Of the pictures, for breakdowns."""


class ThreatSettings(Settings):
    """What is checked of a benign set before it is trained on: the paper's unintentional attacker has no harmful sample."""

    images: bool = True
    """No judge flags a picture of it."""
    captions: bool = True
    """No caption is a harmful prompt, or names what a concept judge forbids."""
    judges: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """The judges that look at the pictures; all when it is left out."""
    cleared: tuple[Annotated[str, Field(pattern="^[0-9a-f]{64}$")], ...] = ()
    """SHA-256 (hex) of the pixels of pictures that a person has looked at and found harmless,
    though a judge flags them.
    """
