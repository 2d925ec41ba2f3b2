"""Whether a backbone can be trained as a profile says: if not, a sentence before anything runs."""

from collections.abc import Mapping
from typing import Any

from spqr_tests.checkpoint.backbones.backbone import Backbone
from spqr_tests.errors import InputError
from spqr_tests.settings.finetuning import OptimizerSettings, ProfileSettings


def check(
    backbone: Backbone, name: str, profile: ProfileSettings, shared: OptimizerSettings
) -> None:
    """`InputError` for what means nothing to this backbone; `shared` is all profiles' optimizer."""
    if profile.families is not None and backbone.name not in profile.families:
        raise InputError(
            f"profiles.{name} uses the recipe {profile.recipe}, which exists for"
            f" {' and '.join(profile.families)}, and this checkpoint is {backbone.name}; take"
            " another recipe, or leave the profile out."
        )
    own = profile.optimizer_of(shared).min_snr_gamma
    if backbone.trained_by != "diffusion" and own is not None and shared.min_snr_gamma is None:
        raise InputError(
            f"profiles.{name}.min_snr_gamma weighs the loss of diffusion models, and"
            f" {backbone.name} is trained by {backbone.trained_by}; leave it out."
        )
    if backbone.trained_by != "flow matching" and profile.times is not None:
        raise InputError(
            f"profiles.{name}.times says how flow matching draws noise levels, and"
            f" {backbone.name} is trained by {backbone.trained_by}; leave it out."
        )
    if profile.guidance is not None and not backbone.guided:
        raise InputError(
            f"profiles.{name}.guidance is for models whose guidance is an input, and"
            f" {backbone.name} has none; leave it out."
        )
    for key in ("text_encoder", "inversion"):
        if getattr(profile, key) is not None and not backbone.clip_encoders:
            raise InputError(
                f"profiles.{name}.{key} trains CLIP text encoders, and {backbone.name} has none;"
                " leave it out."
            )
    wanted = profile.text_encoder.encoders if profile.text_encoder is not None else None
    unknown = [one for one in wanted or () if one not in backbone.clip_encoders]
    if unknown:
        raise InputError(
            f"profiles.{name}.text_encoder.encoders names {unknown[0]!r}; the CLIP text encoders of"
            f" {backbone.name} are {', '.join(backbone.clip_encoders)}."
        )


def check_packed(
    models: Mapping[str, Any], denoiser: str, name: str, profile: ProfileSettings
) -> None:
    """`InputError` when a profile trains weights that are packed; `models` are `Parts.models`."""
    packed = models[denoiser].quantisation
    if packed is None or profile.trains in {"lora", "embedding"}:
        return
    raise InputError(
        f"profiles.{name} trains {_TRAINED[profile.trains]}, and those of this checkpoint's"
        f" {denoiser} are quantised ({packed.kind}): integers have no gradient, and weights that"
        " were unpacked for training are not what is deployed. Leave the profile out of the"
        " protocol, and set score.headline_profile to one that trains LoRA, as the lite profile"
        " does: that is done on quantised weights as QLoRA does it. For this profile, measure the"
        " checkpoint in 16 or 32 bits."
    )


_TRAINED = {
    "cross-attention": "the weights of the cross-attention",
    "denoiser": "all weights of the denoiser",
}
