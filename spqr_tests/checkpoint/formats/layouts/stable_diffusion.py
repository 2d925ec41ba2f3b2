"""CompVis' checkpoints of Stable Diffusion 1 and 2, and Stability AI's of Stable Diffusion XL."""

from types import MappingProxyType
from typing import Any

from spqr_tests.checkpoint.formats.layouts.autoencoder import Autoencoder
from spqr_tests.checkpoint.formats.layouts.table import Original, Preset
from spqr_tests.checkpoint.formats.layouts.text import Clip, OpenClip, ProjectedOpenClip
from spqr_tests.checkpoint.formats.layouts.unet import UNet

END, EXCLAMATION_MARK = "<|endoftext|>", "!"
"""The padding tokens of OpenAI's CLIP and of open_clip's."""


class Sd1TextEncoder(Clip):
    """OpenAI's CLIP, as transformers names it."""

    component = "text_encoder"
    prefixes = ("cond_stage_model.transformer.",)


class Sd2TextEncoder(OpenClip):
    """OpenCLIP-H; its files hold one layer more than is used."""

    component = "text_encoder"
    prefixes = ("cond_stage_model.model.",)


class XlTextEncoder(Clip):
    """OpenAI's CLIP, as transformers names it."""

    component = "text_encoder"
    prefixes = ("conditioner.embedders.0.transformer.",)


class XlTextEncoder2(ProjectedOpenClip):
    """OpenCLIP-bigG."""

    component = "text_encoder_2"
    prefixes = ("conditioner.embedders.1.model.",)


def clip(**changed: Any) -> dict[str, Any]:
    """The config of OpenAI's CLIP-L text encoder, as pipelines publish it, with changes."""
    return {
        "attention_dropout": 0.0,
        "bos_token_id": 0,
        "dropout": 0.0,
        "eos_token_id": 2,
        "hidden_act": "quick_gelu",
        "hidden_size": 768,
        "initializer_factor": 1.0,
        "initializer_range": 0.02,
        "intermediate_size": 3072,
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": 77,
        "model_type": "clip_text_model",
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
        "pad_token_id": 1,
        "projection_dim": 768,
        "vocab_size": 49408,
    } | changed


def big_clip() -> dict[str, Any]:
    """The config of the OpenCLIP-bigG text encoder."""
    return clip(
        hidden_act="gelu",
        hidden_size=1280,
        intermediate_size=5120,
        num_attention_heads=20,
        num_hidden_layers=32,
        projection_dim=1280,
    )


def autoencoder(**changed: Any) -> dict[str, Any]:
    """The config of Stable Diffusion's first autoencoder, with changes."""
    return {
        "act_fn": "silu",
        "block_out_channels": [128, 256, 512, 512],
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "in_channels": 3,
        "latent_channels": 4,
        "layers_per_block": 2,
        "norm_num_groups": 32,
        "out_channels": 3,
        "sample_size": 512,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
    } | changed


def _unet(**changed: Any) -> dict[str, Any]:
    return {
        "act_fn": "silu",
        "attention_head_dim": 8,
        "block_out_channels": [320, 640, 1280, 1280],
        "center_input_sample": False,
        "cross_attention_dim": 768,
        "down_block_types": [*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"],
        "downsample_padding": 1,
        "flip_sin_to_cos": True,
        "freq_shift": 0,
        "in_channels": 4,
        "layers_per_block": 2,
        "mid_block_scale_factor": 1,
        "norm_eps": 1e-05,
        "norm_num_groups": 32,
        "out_channels": 4,
        "sample_size": 64,
        "up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3],
    } | changed


def _unet_2(**changed: Any) -> dict[str, Any]:
    return _unet(
        attention_head_dim=[5, 10, 20, 20],
        cross_attention_dim=1024,
        use_linear_projection=True,
        **changed,
    )


def _schedule(**changed: Any) -> dict[str, Any]:
    return {
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "clip_sample": False,
        "num_train_timesteps": 1000,
        "set_alpha_to_one": False,
        "skip_prk_steps": True,
        "steps_offset": 1,
        "trained_betas": None,
    } | changed


def _sd2(name: str, unet: dict[str, Any], scheduler: tuple[str, dict[str, Any]]) -> Preset:
    text = clip(
        hidden_act="gelu",
        hidden_size=1024,
        intermediate_size=4096,
        num_attention_heads=16,
        num_hidden_layers=23,
        projection_dim=512,
    )
    return Preset(
        name,
        "StableDiffusionPipeline",
        {
            "unet": ("UNet2DConditionModel", unet),
            "vae": ("AutoencoderKL", autoencoder(sample_size=768)),
            "text_encoder": ("CLIPTextModel", text),
        },
        scheduler,
        {"tokenizer": EXCLAMATION_MARK},
        {},
        {"input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 1024)},
    )


_SD1 = Preset(
    "sd1",
    "StableDiffusionPipeline",
    {
        "unet": ("UNet2DConditionModel", _unet()),
        "vae": ("AutoencoderKL", autoencoder()),
        "text_encoder": ("CLIPTextModel", clip()),
    },
    ("PNDMScheduler", _schedule()),
    {"tokenizer": END},
    {},
    {"input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768)},
)
_SD2_V = _sd2(
    "sd2-v",
    _unet_2(sample_size=96, upcast_attention=True),
    ("DDIMScheduler", _schedule(prediction_type="v_prediction")),
)
_SD2_BASE = _sd2("sd2-base", _unet_2(), ("PNDMScheduler", _schedule(prediction_type="epsilon")))
_SDXL = Preset(
    "sdxl",
    "StableDiffusionXLPipeline",
    {
        "unet": (
            "UNet2DConditionModel",
            _unet(
                addition_embed_type="text_time",
                addition_time_embed_dim=256,
                attention_head_dim=[5, 10, 20],
                block_out_channels=[320, 640, 1280],
                cross_attention_dim=2048,
                down_block_types=["DownBlock2D", *["CrossAttnDownBlock2D"] * 2],
                projection_class_embeddings_input_dim=2816,
                sample_size=128,
                transformer_layers_per_block=[1, 2, 10],
                up_block_types=[*["CrossAttnUpBlock2D"] * 2, "UpBlock2D"],
                use_linear_projection=True,
            ),
        ),
        "vae": (
            "AutoencoderKL",
            autoencoder(force_upcast=True, sample_size=1024, scaling_factor=0.13025),
        ),
        "text_encoder": ("CLIPTextModel", clip()),
        "text_encoder_2": ("CLIPTextModelWithProjection", big_clip()),
    },
    (
        "EulerDiscreteScheduler",
        _schedule(
            interpolation_type="linear",
            prediction_type="epsilon",
            sample_max_value=1.0,
            timestep_spacing="leading",
            use_karras_sigmas=False,
        ),
    ),
    {"tokenizer": END, "tokenizer_2": EXCLAMATION_MARK},
    {"force_zeros_for_empty_prompt": True},
    {"input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": (640, 2048)},
)

TRAINING = (
    r"model_ema\..*",
    r"(betas|alphas_cumprod(_prev)?|logvar|lvlb_weights)",
    r"(sqrt|log_one_minus|posterior)_\w+",
    r"first_stage_model\.loss\..*",
    r"denoiser\.(sigmas|log_sigmas)",
    r"model_sampling\.(sigmas|log_sigmas)",
)
"""Tensors that trainers and conversion tools leave in files: values computed from the schedule,
averages, losses.
"""
UNUSED = (
    r".*\.position_ids",
    r".*\blogit_scale",
    r".*\.attn_mask",
    r"(cond_stage_model|conditioner\.embedders\.0)\.text_projection",
)
"""Tensors of text encoders that no model needs: counters, and parts for comparing with images."""

ORIGINAL = Original(
    "CompVis checkpoint",
    (UNet, Autoencoder, Sd1TextEncoder, Sd2TextEncoder),
    (_SD1, _SD2_V, _SD2_BASE),
    (*TRAINING, *UNUSED),
)
ORIGINAL_XL = Original(
    "Stable Diffusion XL checkpoint",
    (UNet, Autoencoder, XlTextEncoder, XlTextEncoder2),
    (_SDXL,),
    (*TRAINING, *UNUSED),
    MappingProxyType(
        {"v_pred": {"prediction_type": "v_prediction"}, "ztsnr": {"rescale_betas_zero_snr": True}}
    ),
)
