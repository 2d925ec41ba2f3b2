"""The model_index.json of published pipelines, by what they are; structure only."""

from collections.abc import Mapping
from typing import Any

_NONE = [None, None]
_CHECKER = ["stable_diffusion", "StableDiffusionSafetyChecker"]
_OLD_PICTURES = ["transformers", "CLIPFeatureExtractor"]
_PICTURES = ["transformers", "CLIPImageProcessor"]


def _sd(version: str, scheduler: str, **more: Any) -> dict[str, Any]:
    return {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": version,
        "scheduler": ["diffusers", scheduler],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        **more,
    }


def _xl(version: str, scheduler: str = "EulerDiscreteScheduler", **more: Any) -> dict[str, Any]:
    return {
        **_sd(version, scheduler),
        "_class_name": "StableDiffusionXLPipeline",
        "force_zeros_for_empty_prompt": True,
        "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
        "tokenizer_2": ["transformers", "CLIPTokenizer"],
        **more,
    }


def _sd3(version: str, **more: Any) -> dict[str, Any]:
    projected = ["transformers", "CLIPTextModelWithProjection"]
    return {
        "_class_name": "StableDiffusion3Pipeline",
        "_diffusers_version": version,
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": projected,
        "text_encoder_2": projected,
        "text_encoder_3": ["transformers", "T5EncoderModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "tokenizer_2": ["transformers", "CLIPTokenizer"],
        "tokenizer_3": ["transformers", "T5TokenizerFast"],
        "transformer": ["diffusers", "SD3Transformer2DModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        **more,
    }


def _flux(version: str, **more: Any) -> dict[str, Any]:
    return {
        "_class_name": "FluxPipeline",
        "_diffusers_version": version,
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "text_encoder_2": ["transformers", "T5EncoderModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "tokenizer_2": ["transformers", "T5TokenizerFast"],
        "transformer": ["diffusers", "FluxTransformer2DModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        **more,
    }


INDEXES: Mapping[str, tuple[str, dict[str, Any]]] = {
    # The tiny pipeline that has these components, and the index.
    "a fine-tune by diffusers 0.4.1": (
        "sd1",
        _sd("0.4.1", "LMSDiscreteScheduler", feature_extractor=_OLD_PICTURES)
        | {"safety_checker": _CHECKER},
    ),
    "DreamBooth by diffusers 0.6.0": (
        "sd1",
        _sd("0.6.0", "PNDMScheduler", feature_extractor=_OLD_PICTURES)
        | {"safety_checker": _CHECKER},
    ),
    "DreamBooth by diffusers 0.7.0, its checker's entry removed": (
        "sd1",
        _sd("0.7.0.dev0", "DDIMScheduler", feature_extractor=_OLD_PICTURES),
    ),
    "Stable Diffusion 2.1": (
        "sd2",
        _sd("0.8.0", "DDIMScheduler", feature_extractor=_OLD_PICTURES)
        | {"safety_checker": _NONE, "requires_safety_checker": False},
    ),
    "DreamBooth by diffusers 0.11.1: requires_safety_checker null": (
        "sd1",
        _sd("0.11.1", "DDIMScheduler", feature_extractor=_NONE)
        | {"safety_checker": _NONE, "requires_safety_checker": None},
    ),
    "DreamBooth by diffusers 0.12: a checker required and absent": (
        "sd1",
        _sd("0.12.0.dev0", "DDIMScheduler", feature_extractor=_PICTURES)
        | {"safety_checker": _NONE, "requires_safety_checker": True},
    ),
    "DreamBooth by diffusers 0.13.0: requires_safety_checker null, DDPM": (
        "sd1",
        _sd("0.13.0", "DDPMScheduler", feature_extractor=_NONE)
        | {"safety_checker": _NONE, "requires_safety_checker": None},
    ),
    "a fine-tune by diffusers 0.21.2": (
        "sd1",
        _sd("0.21.2", "PNDMScheduler", feature_extractor=_OLD_PICTURES)
        | {"safety_checker": _CHECKER, "requires_safety_checker": True},
    ),
    "a fine-tune by diffusers 0.27, with an image encoder's place": (
        "sd1",
        _sd("0.27.2", "DPMSolverMultistepScheduler", feature_extractor=_PICTURES)
        | {"safety_checker": _NONE, "requires_safety_checker": True, "image_encoder": _NONE},
    ),
    "a fine-tune whose tokenizer was saved by its fast class": (
        "sd1",
        _sd("0.35.1", "UniPCMultistepScheduler", tokenizer=["transformers", "CLIPTokenizerFast"])
        | {"feature_extractor": None, "safety_checker": None, "image_encoder": None},
    ),
    "Stable Diffusion XL base 1.0: add_watermarker null": (
        "sdxl",
        _xl("0.19.0.dev0", add_watermarker=None),
    ),
    "a fine-tune of XL by diffusers 0.18": ("sdxl", _xl("0.18.0.dev0")),
    "a fine-tune of XL by diffusers 0.25": (
        "sdxl",
        _xl("0.25.0", feature_extractor=_NONE, image_encoder=_NONE),
    ),
    "XL Turbo": (
        "sdxl",
        _xl("0.24.0.dev0", "EulerAncestralDiscreteScheduler")
        | {"feature_extractor": _NONE, "image_encoder": _NONE},
    ),
    "Stable Diffusion 3.5 large": ("sd3", _sd3("0.30.3.dev0")),
    "Stable Diffusion 3.5 by diffusers 0.33, with an image encoder's place": (
        "sd3",
        _sd3("0.33.1", feature_extractor=_NONE, image_encoder=_NONE),
    ),
    "FLUX.1 dev": ("flux", _flux("0.30.0.dev0")),
    "FLUX.1 schnell, copied": (
        "flux",
        _flux("0.31.0.dev0", _name_or_path="black-forest-labs/FLUX.1-schnell"),
    ),
    "FLUX.1 by diffusers 0.33, with an image encoder's place": (
        "flux",
        _flux("0.33.0", feature_extractor=_NONE, image_encoder=_NONE),
    ),
}
