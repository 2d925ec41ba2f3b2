"""A tiny PixArt-Sigma."""

from typing import Any

from spqr_tests.checkpoint.backbones.backbone import Defaults
from tests.tiny.families import parts
from tests.tiny.families.facts import Facts, Published, weights_and_biases

_ATTENTION = [f"transformer_blocks.{block}.attn{kind}" for block in (0, 1) for kind in (1, 2)]


def _make() -> Any:
    from diffusers import DPMSolverMultistepScheduler, PixArtSigmaPipeline, PixArtTransformer2DModel

    return PixArtSigmaPipeline(
        transformer=PixArtTransformer2DModel(
            num_attention_heads=2,
            attention_head_dim=8,
            in_channels=4,
            out_channels=8,
            num_layers=2,
            cross_attention_dim=16,
            sample_size=16,
            interpolation_scale=2,
            use_additional_conditions=False,
            caption_channels=32,
        ),
        scheduler=DPMSolverMultistepScheduler(),
        vae=parts.vae(4, scaling_factor=0.13025),
        text_encoder=parts.t5(32),
        tokenizer=parts.t5_tokenizer(),
    )


def _published(rows: int, scale: float) -> Published:
    """Converted by diffusers' scripts/convert_pixart_sigma_to_diffusers.py."""
    transformer = {
        "_class_name": "Transformer2DModel",
        "activation_fn": "gelu-approximate",
        "attention_bias": True,
        "attention_head_dim": 72,
        "caption_channels": 4096,
        "cross_attention_dim": 1152,
        "in_channels": 4,
        "interpolation_scale": scale,
        "norm_elementwise_affine": False,
        "norm_eps": 1e-6,
        "norm_type": "ada_norm_single",
        "num_attention_heads": 16,
        "num_embeds_ada_norm": 1000,
        "num_layers": 28,
        "out_channels": 8,
        "patch_size": 2,
        "sample_size": rows,
        "use_additional_conditions": False,
    }
    configs = {
        "transformer": transformer,
        "vae": parts.PUBLISHED_VAE,
        "text_encoder": {"d_model": 4096, "vocab_size": 32128},
        "scheduler": {"_class_name": "DPMSolverMultistepScheduler"},
    }
    return Published(configs, 8 * rows, Defaults(20, 4.5))


PIXART_SIGMA = Facts(
    make=_make,
    name="PixArt-Sigma",
    index={
        "_class_name": "PixArtSigmaPipeline",
        "_diffusers_version": "0.28.0.dev0",
        "scheduler": ["diffusers", "DPMSolverMultistepScheduler"],
        "text_encoder": ["transformers", "T5EncoderModel"],
        "tokenizer": ["transformers", "T5Tokenizer"],
        "transformer": ["diffusers", "Transformer2DModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    },
    published=(_published(32, 0.5), _published(64, 1), _published(128, 2), _published(256, 4)),
    limits={"text_encoder": 300},
    lite=frozenset(
        f"{one}.{layer}" for one in _ATTENTION for layer in ("to_q", "to_k", "to_v", "to_out.0")
    ),
    moderate=weights_and_biases(
        *(f"{one}.{layer}" for one in _ATTENTION[1::2] for layer in ("to_k", "to_v", "to_out.0"))
    ),
    learned=0.7,
    by_hand={"use_resolution_binning": False, "clean_caption": False},
    broken=(
        "transformer",
        "use_additional_conditions",
        True,
        "use_additional_conditions is 1 (it is PixArt-Alpha of 1024 px), and PixArt-Sigma's is 0",
    ),
)
