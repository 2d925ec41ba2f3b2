"""LoRA adapters of a training: which layers get one, and merging them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spqr_tests.errors import EvidenceError
from spqr_tests.settings.finetuning import ProfileSettings

if TYPE_CHECKING:
    from peft import LoraConfig

ADAPTER = "spqr"


def of_denoiser(
    profile: ProfileSettings, fused: Mapping[str, frozenset[str]] | None = None
) -> "LoraConfig":
    """The adapter of a profile's denoiser; `fused` is the backbone's."""
    from peft import LoraConfig

    wanted = set(profile.targets)
    targets = [*profile.targets, *(name for name, held in (fused or {}).items() if held & wanted)]
    return LoraConfig(
        r=profile.rank,
        lora_alpha=profile.alpha,
        lora_dropout=profile.dropout,
        # A text is a regular expression for the whole name, a list has ends of names.
        target_modules=targets if profile.pattern is None else profile.pattern,
        rank_pattern=dict(profile.ranks or {}),
        alpha_pattern=dict(profile.alphas or {}),
        init_lora_weights=_init(profile),
    )


def add_to_denoiser(
    denoiser: Any, profile: ProfileSettings, fused: Mapping[str, frozenset[str]] | None = None
) -> None:
    """Put the profile's adapter into a denoiser; `fused` is the backbone's. Raises as `add`."""
    adapter = of_denoiser(profile, fused)
    if not hasattr(denoiser, "add_adapter"):  # some of diffusers' models lack peft's methods
        add(denoiser, adapter, "denoiser")
        return
    try:
        denoiser.add_adapter(adapter, adapter_name=ADAPTER)
    except ValueError as error:
        raise EvidenceError(
            f"The profile that trains lora does not fit this denoiser: {error}"
        ) from error


def merge_denoiser(denoiser: Any) -> None:
    """Merge the adapter of a denoiser, as deployments do."""
    if not hasattr(denoiser, "fuse_lora"):
        merge(denoiser)
        return
    denoiser.fuse_lora()
    denoiser.unload_lora()


def of_text_encoder(profile: ProfileSettings) -> "LoraConfig":
    """The adapter of a profile's text encoders; the profile has them."""
    from peft import LoraConfig

    settings = profile.text_encoder
    if settings is None:
        raise ValueError("the profile trains no text encoder")
    return LoraConfig(
        r=settings.rank or profile.rank,
        lora_alpha=settings.alpha or profile.alpha,
        lora_dropout=profile.dropout,
        target_modules=list(settings.targets),
        init_lora_weights=_init(profile),
    )


def add(model: Any, adapter: "LoraConfig", what: str) -> None:
    """Put an adapter into a model; `EvidenceError` where it has none of the adapter's layers."""
    from peft import inject_adapter_in_model

    try:
        inject_adapter_in_model(adapter, model, ADAPTER)
    except ValueError as error:
        raise EvidenceError(
            f"The profile that trains lora does not fit this {what}: {error}"
        ) from error


def merge(model: Any) -> None:
    """Add what the adapters of a model do to the weights below them, and remove the adapters."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, layer in list(model.named_modules()):
        if isinstance(layer, BaseTunerLayer):
            layer.merge(adapter_names=[ADAPTER])
            above, _, own = name.rpartition(".")
            setattr(model.get_submodule(above), own, layer.get_base_layer())


def _init(profile: ProfileSettings) -> Any:
    # What peft calls True is the published code's: uniform, after Kaiming He.
    return True if profile.init == "kaiming" else "gaussian"
