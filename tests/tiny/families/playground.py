"""A tiny Playground 2.5."""

from typing import Any

from spqr_tests.checkpoint.backbones.backbone import Defaults
from tests.tiny import backbones
from tests.tiny.families import parts
from tests.tiny.families.facts import Facts, Published

_STATISTICS = {
    "latents_mean": [-1.6574, 1.886, -1.383, 2.5155],
    "latents_std": [8.4927, 5.9022, 6.5498, 5.2299],
    "scaling_factor": 0.5,
}
_LAYERS = [
    f"{block}.transformer_blocks.{layer}"
    for block in (
        "down_blocks.1.attentions.0",
        "mid_block.attentions.0",
        "up_blocks.0.attentions.0",
        "up_blocks.0.attentions.1",
    )
    for layer in (0, 1)
]


def _make() -> Any:
    from diffusers import EDMDPMSolverMultistepScheduler

    pipeline = backbones.make("sdxl")
    # Statistics of the tiny autoencoder's latents, which are about 1.
    small = {"latents_mean": [0.1, -0.2, 0.3, 0], "latents_std": [0.9, 1.1, 1, 0.8]}
    pipeline.register_modules(
        scheduler=EDMDPMSolverMultistepScheduler(),
        vae=parts.vae(4, force_upcast=True, scaling_factor=0.5, **small),
    )
    return pipeline


PLAYGROUND = Facts(
    make=_make,
    name="Playground 2.5",
    index={
        "_class_name": "StableDiffusionXLPipeline",
        "_diffusers_version": "0.27.0.dev0",
        "feature_extractor": [None, None],
        "force_zeros_for_empty_prompt": True,
        "image_encoder": [None, None],
        "scheduler": ["diffusers", "EDMDPMSolverMultistepScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "tokenizer_2": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    },
    published=(
        Published(
            {
                "unet": {
                    "addition_time_embed_dim": 256,
                    "cross_attention_dim": 2048,
                    "in_channels": 4,
                    "out_channels": 4,
                    "projection_class_embeddings_input_dim": 2816,
                    "sample_size": 128,
                },
                "vae": parts.PUBLISHED_VAE | _STATISTICS,
                "text_encoder": {"hidden_size": 768},
                "text_encoder_2": {"hidden_size": 1280, "projection_dim": 1280},
                "scheduler": {"_class_name": "EDMDPMSolverMultistepScheduler", "sigma_data": 0.5},
            },
            1024,
            Defaults(50, 3.0),
        ),
    ),
    limits={"text_encoder": 32, "text_encoder_2": 32},
    lite=frozenset(
        f"{layer}.attn{kind}.{name}"
        for layer in _LAYERS
        for kind in (1, 2)
        for name in ("to_q", "to_k", "to_v", "to_out.0")
    ),
    moderate=frozenset(
        f"{layer}.attn2.{name}"
        for layer in _LAYERS
        for name in ("to_k.weight", "to_v.weight", "to_out.0.weight", "to_out.0.bias")
    ),
    learned=0.7,
    broken=("scheduler", "prediction_type", "v_prediction", "'v_prediction'; expected epsilon."),
)
