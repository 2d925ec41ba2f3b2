"""Tiny pipelines of random weights, one of each backbone, with all kinds of components."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.sizes.architectures import t5_tokenizer
from spqr_fixtures.embedded import weights
from spqr_tests.checkpoint.backbones import BACKBONES
from spqr_tests.checkpoint.backbones.backbone import Backbone
from tests.tiny.families import chroma, flux_2_klein, lumina_2, qwen_image, z_image
from tests.tiny.families.family import TinyFamily
from tests.tiny.families.vae import vae

SIDE = 32
"""Width and height of their images, in pixels: 16 rows of latents."""


def build(name: str, folder: Path) -> Path:
    """Save the backbone's pipeline into a folder."""
    make(name).save_pretrained(folder)
    return folder


def make(name: str) -> Any:
    """The pipeline of one of `NAMES` or `FAMILIES`; 'sd2' predicts the velocity."""
    import torch

    torch.manual_seed(0)
    pipeline = _MAKERS[name]()
    for component in (
        "unet",
        "transformer",
        "vae",
        "text_encoder",
        "text_encoder_2",
        "text_encoder_3",
        "text_encoder_4",
    ):
        model = getattr(pipeline, component, None)
        if model is not None:
            model.eval().requires_grad_(False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _clip_tokenizer(pad: str = "<|endoftext|>") -> Any:
    from transformers import CLIPTokenizerFast

    return CLIPTokenizerFast.from_pretrained(weights.judge_folder(), pad_token=pad)


def _clip_config(
    width: int, layers: int = 2, act: str = "quick_gelu", projection: int | None = None
) -> Any:
    from transformers import CLIPTextConfig

    tokenizer = _clip_tokenizer()
    return CLIPTextConfig(
        vocab_size=1024,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=2,
        hidden_act=act,
        projection_dim=projection or width,
        max_position_embeddings=tokenizer.model_max_length,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _clip(width: int, **options: Any) -> Any:
    from transformers import CLIPTextModel

    return CLIPTextModel(_clip_config(width, **options))


def _projected_clip(width: int, **options: Any) -> Any:
    from transformers import CLIPTextModelWithProjection

    return CLIPTextModelWithProjection(_clip_config(width, **options))


def _t5(width: int) -> Any:
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(
        T5Config(
            vocab_size=64,
            d_model=width,
            d_kv=8,
            d_ff=32,
            num_layers=2,
            num_heads=2,
            feed_forward_proj="gated-gelu",
            is_encoder_decoder=False,
            use_cache=False,
        )
    )


def _unet(text_width: int, **changed: Any) -> Any:
    from diffusers import UNet2DConditionModel

    settings: dict[str, Any] = {
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "norm_num_groups": 4,
        "attention_head_dim": 2,
        "cross_attention_dim": text_width,
        "sample_size": SIDE // 2,
    }
    return UNet2DConditionModel(**settings | changed)


def _ddim(**changed: Any) -> Any:
    from diffusers import DDIMScheduler

    settings: dict[str, Any] = {
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
    }
    return DDIMScheduler(**settings | changed)


def _sd1() -> Any:
    from diffusers import PNDMScheduler, StableDiffusionPipeline

    scheduler = PNDMScheduler.from_config(_ddim().config, skip_prk_steps=True)
    return StableDiffusionPipeline(
        vae=vae(4),
        text_encoder=_clip(16),
        tokenizer=_clip_tokenizer(),
        unet=_unet(16),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _sd2() -> Any:
    from diffusers import StableDiffusionPipeline

    return StableDiffusionPipeline(
        vae=vae(4),
        text_encoder=_clip(16, act="gelu"),
        tokenizer=_clip_tokenizer("!"),
        unet=_unet(16, attention_head_dim=(1, 2), use_linear_projection=True),
        scheduler=_ddim(prediction_type="v_prediction"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _sdxl() -> Any:
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline

    unet = _unet(
        16 + 24,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(1, 2),
        transformer_layers_per_block=(1, 2),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 24,
    )
    return StableDiffusionXLPipeline(
        vae=vae(4, scaling_factor=0.13025, force_upcast=True),
        text_encoder=_clip(16),
        text_encoder_2=_projected_clip(24, act="gelu"),
        tokenizer=_clip_tokenizer(),
        tokenizer_2=_clip_tokenizer("!"),
        unet=unet,
        scheduler=EulerDiscreteScheduler.from_config(_ddim().config, timestep_spacing="leading"),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )


def _sd3() -> Any:
    from diffusers import (
        FlowMatchEulerDiscreteScheduler,
        SD3Transformer2DModel,
        StableDiffusion3Pipeline,
    )

    transformer = SD3Transformer2DModel(
        sample_size=SIDE // 2,
        patch_size=2,
        in_channels=16,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=48,
        caption_projection_dim=16,
        pooled_projection_dim=16 + 24,
        out_channels=16,
        pos_embed_max_size=16,
    )
    return StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae(
            16,
            scaling_factor=1.5305,
            shift_factor=0.0609,
            use_quant_conv=False,
            use_post_quant_conv=False,
        ),
        text_encoder=_projected_clip(16),
        tokenizer=_clip_tokenizer(),
        text_encoder_2=_projected_clip(24, act="gelu"),
        tokenizer_2=_clip_tokenizer("!"),
        text_encoder_3=_t5(48),
        tokenizer_3=t5_tokenizer(),
    )


def _flux() -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=64,
        num_layers=1,
        num_single_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=16,
        guidance_embeds=True,
        axes_dims_rope=(4, 6, 6),
    )
    return FluxPipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        vae=vae(
            16,
            scaling_factor=0.3611,
            shift_factor=0.1159,
            use_quant_conv=False,
            use_post_quant_conv=False,
        ),
        text_encoder=_clip(16),
        tokenizer=_clip_tokenizer(),
        text_encoder_2=_t5(32),
        tokenizer_2=t5_tokenizer(),
    )


_MAKERS: dict[str, Callable[[], Any]] = {
    "sd1": _sd1,
    "sd2": _sd2,
    "sdxl": _sdxl,
    "sd3": _sd3,
    "flux": _flux,
}
NAMES = tuple(_MAKERS)
"""Those that are also read from single files in their authors' names."""
FAMILIES: dict[str, TinyFamily] = {
    "qwen-image": qwen_image.FAMILY,
    "z-image": z_image.FAMILY,
    "flux-2-klein": flux_2_klein.FAMILY,
    "chroma": chroma.FAMILY,
    "lumina-2": lumina_2.FAMILY,
}
"""Those that are read from folders alone."""
_MAKERS |= {name: family.make for name, family in FAMILIES.items()}


def backbone_of(pipeline: Any) -> Backbone:
    """The one backbone that a pipeline and its scheduler belong to."""
    (found,) = (
        backbone
        for backbone in BACKBONES
        if type(pipeline).__name__ in backbone.pipelines
        and type(pipeline.scheduler).__name__ in backbone.schedulers
    )
    return found
