"""Lumina 2."""

from typing import Any

from spqr_tests.checkpoint.backbones.backbone import Defaults
from tests.tiny.families.family import TinyFamily
from tests.tiny.families.sana import gemma, gemma_tokenizer
from tests.tiny.families.vae import vae


def make() -> Any:
    from diffusers import (
        FlowMatchEulerDiscreteScheduler,
        Lumina2Pipeline,
        Lumina2Transformer2DModel,
    )

    pipeline = Lumina2Pipeline(
        transformer=Lumina2Transformer2DModel(
            sample_size=16,
            in_channels=16,
            hidden_size=24,
            num_layers=2,
            num_refiner_layers=1,
            num_attention_heads=2,
            num_kv_heads=1,
            multiple_of=8,
            axes_dim_rope=(4, 4, 4),
            axes_lens=(300, 32, 32),
            cap_feat_dim=16,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=6.0),
        vae=vae(
            16,
            scaling_factor=0.3611,
            shift_factor=0.1159,
            use_quant_conv=False,
            use_post_quant_conv=False,
        ),
        text_encoder=gemma(16),
        tokenizer=gemma_tokenizer(),
    )
    # The pipeline takes every autoencoder for one of four levels.
    pipeline.vae_scale_factor = 2
    return pipeline


_REFINER = (
    "attn.norm_q attn.norm_k attn.to_q attn.to_k attn.to_v attn.to_out.0 feed_forward.linear_1"
    " feed_forward.linear_2 feed_forward.linear_3 norm1 ffn_norm1 norm2 ffn_norm2"
).split()
FAMILY = TinyFamily(
    make,
    index={
        "_class_name": "Lumina2Pipeline",
        "_diffusers_version": "0.33.0.dev0",
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "Gemma2Model"],
        "tokenizer": ["transformers", "GemmaTokenizerFast"],
        "transformer": ["diffusers", "Lumina2Transformer2DModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    },
    published={
        "transformer": {"in_channels": 16, "patch_size": 2, "sample_size": 128},
        "vae": {"block_out_channels": [128, 256, 512, 512], "sample_size": 1024},
        "scheduler": {"shift": 6.0, "use_dynamic_shifting": False},
    },
    side=1024,
    defaults={"Lumina-Image-2.0": ({}, Defaults(50, 4.0))},
    options=lambda guidance: {"guidance_scale": guidance},
    unguided=1.0,
    guided=4.0,
    cross_attention=frozenset(
        {
            f"time_caption_embed.caption_embedder.{name}"
            for name in ("0.weight", "1.weight", "1.bias")
        }
        | {f"context_refiner.0.{name}.weight" for name in _REFINER}
    ),
    adapted=frozenset(
        f"{block}.attn.{name}"
        for block in ("layers.0", "layers.1", "noise_refiner.0", "context_refiner.0")
        for name in ("to_q", "to_k", "to_v", "to_out.0")
    ),
    limit=256,
)
