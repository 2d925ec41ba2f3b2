"""Chroma."""

from typing import Any

from benchmarks.sizes.architectures import t5_tokenizer
from spqr_tests.checkpoint.backbones.backbone import Defaults
from tests.tiny.families.family import TinyFamily
from tests.tiny.families.vae import vae


def make() -> Any:
    from diffusers import ChromaPipeline, ChromaTransformer2DModel, FlowMatchEulerDiscreteScheduler
    from transformers import T5Config, T5EncoderModel

    text = T5Config(
        vocab_size=64,
        d_model=32,
        d_kv=8,
        d_ff=32,
        num_layers=2,
        num_heads=2,
        feed_forward_proj="gated-gelu",
        is_encoder_decoder=False,
        use_cache=False,
    )
    return ChromaPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0),
        vae=vae(
            16,
            scaling_factor=0.3611,
            shift_factor=0.1159,
            use_quant_conv=False,
            use_post_quant_conv=False,
        ),
        text_encoder=T5EncoderModel(text),
        tokenizer=t5_tokenizer(),
        transformer=ChromaTransformer2DModel(
            in_channels=64,
            num_layers=1,
            num_single_layers=2,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            axes_dims_rope=(4, 6, 6),
            approximator_num_channels=16,
            approximator_hidden_dim=16,
            approximator_layers=1,
        ),
    )


FAMILY = TinyFamily(
    make,
    index={
        "_class_name": "ChromaPipeline",
        "_diffusers_version": "0.35.0.dev0",
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "T5EncoderModel"],
        "tokenizer": ["transformers", "T5Tokenizer"],
        "transformer": ["diffusers", "ChromaTransformer2DModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    },
    published={
        "transformer": {"in_channels": 64, "joint_attention_dim": 4096},
        "vae": {"block_out_channels": [128, 256, 512, 512], "sample_size": 1024},
    },
    side=1024,
    defaults={"Chroma1-HD": ({}, Defaults(40, 3.0))},
    options=lambda guidance: {"guidance_scale": guidance},
    unguided=1.0,
    guided=3.0,
    cross_attention=frozenset(
        f"transformer_blocks.0.attn.{name}.{kind}"
        for name in ("add_k_proj", "add_v_proj", "to_out.0")
        for kind in ("weight", "bias")
    ),
    adapted=frozenset(
        {f"transformer_blocks.0.attn.{name}" for name in ("to_q", "to_k", "to_v", "to_out.0")}
        | {
            f"single_transformer_blocks.{block}.attn.{name}"
            for block in (0, 1)
            for name in ("to_q", "to_k", "to_v")
        }
    ),
    levels="logit-normal",
)
