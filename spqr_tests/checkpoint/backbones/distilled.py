"""Distilled models: which are recognised by their configs, and how their authors sample them.

Most look like the model that they were distilled from (Lightning, Hyper, SD3.5 Turbo): nothing in
their configs tells.
"""

from collections.abc import Mapping
from typing import Any

from spqr_tests.checkpoint.backbones.backbone import Defaults

# Sources: the cards of latent-consistency/lcm-lora-sdxl and lcm-sdxl, ByteDance/Hyper-SD,
# stabilityai/sdxl-turbo and sd-turbo, black-forest-labs/FLUX.1-schnell.
_LCM = Defaults(4, 0.0, "a latent consistency model (LCM)")
_LCM_GUIDED = Defaults(4, 8.0, "a latent consistency model (LCM) that takes guidance as an input")
_TCD = Defaults(4, 0.0, "a model distilled for trajectory consistency (TCD), such as Hyper-SD")
SDXL_TURBO = Defaults(1, 0.0, "SDXL Turbo")
SD_TURBO = Defaults(1, 0.0, "SD Turbo")
SCHNELL = Defaults(4, 0.0, "FLUX.1 schnell")
# lightx2v/Qwen-Image-Lightning: 8 steps or 4, as the file's name says.
QWEN_LIGHTNING = Defaults(8, 0.0, "Qwen-Image-Lightning")
# Tongyi-MAI/Z-Image-Turbo.
Z_IMAGE_TURBO = Defaults(9, 0.0, "Z-Image-Turbo")
# black-forest-labs/FLUX.2-klein-4B and 9B.
KLEIN = Defaults(4, 0.0, "FLUX.2 klein, the distilled one")

_TURBO_ROWS = 64
"""Rows of latents: 512 pixels."""
_Z_TURBO_SHIFT = 3.0
"""The base model's is 6."""


def unet(config: Mapping[str, Any], scheduler: Mapping[str, Any]) -> Defaults | None:
    """How authors sample a distilled UNet; None when the configs do not say that it is one."""
    if config.get("time_cond_proj_dim"):
        return _LCM_GUIDED
    return {"LCMScheduler": _LCM, "TCDScheduler": _TCD}.get(str(scheduler.get("_class_name")))


def is_turbo(config: Mapping[str, Any], scheduler: Mapping[str, Any]) -> bool:
    """Whether a UNet of 512 pixels is sampled from the last timestep on, as Stability's Turbos are.

    Models that were trained with a schedule of zero terminal SNR are sampled so too, and are not
    distilled.
    """
    return (
        config.get("sample_size") == _TURBO_ROWS
        and scheduler.get("timestep_spacing") == "trailing"
        and scheduler.get("prediction_type", "epsilon") == "epsilon"
        and not scheduler.get("rescale_betas_zero_snr")
    )


def is_schnell(config: Mapping[str, Any], scheduler: Mapping[str, Any]) -> bool:
    """Whether a FLUX transformer has no input for guidance and schnell's constant schedule."""
    return not config.get("guidance_embeds") and scheduler.get("use_dynamic_shifting") is False


def is_qwen_lightning(scheduler: Mapping[str, Any]) -> bool:
    """Whether Qwen-Image is sampled with Lightning's shift, which no resolution changes."""
    shift = scheduler.get("base_shift")
    return (
        isinstance(shift, float)
        and shift == scheduler.get("max_shift")
        and not scheduler.get("shift_terminal")
    )


def is_z_image_turbo(scheduler: Mapping[str, Any]) -> bool:
    """Whether Z-Image is sampled with Turbo's constant shift."""
    return scheduler.get("shift") == _Z_TURBO_SHIFT and not scheduler.get("use_dynamic_shifting")
