"""FLUX.2 klein, the base model."""

from typing import Any

from spqr_tests.checkpoint.backbones.backbone import Defaults
from tests.tiny.families import qwen_words
from tests.tiny.families.family import TinyFamily


def autoencoder() -> Any:
    """FLUX.2's, of two levels."""
    from diffusers import AutoencoderKLFlux2

    made = AutoencoderKLFlux2(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=8,
        sample_size=32,
    )
    made.bn.running_mean.normal_(0, 0.5)
    made.bn.running_var.uniform_(0.5, 2)
    return made


def transformer(width: int, *, guidance: bool) -> Any:
    from diffusers import Flux2Transformer2DModel

    return Flux2Transformer2DModel(
        in_channels=32,
        num_layers=1,
        num_single_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=width,
        timestep_guidance_channels=16,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=guidance,
    )


def make() -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, Flux2KleinPipeline
    from transformers import Qwen3Config, Qwen3ForCausalLM

    # The pipeline takes layers 9, 18 and 27.
    text = Qwen3Config(
        vocab_size=qwen_words.size(),
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=28,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
    )
    return Flux2KleinPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        vae=autoencoder(),
        text_encoder=Qwen3ForCausalLM(text),
        tokenizer=qwen_words.made(),
        transformer=transformer(24, guidance=False),
        is_distilled=False,
    )


ADAPTED = frozenset(
    {f"transformer_blocks.0.attn.{name}" for name in ("to_q", "to_k", "to_v", "to_out.0")}
    | {f"single_transformer_blocks.{block}.attn.to_qkv_mlp_proj" for block in (0, 1)}
)
CROSS_ATTENTION = frozenset(
    f"transformer_blocks.0.attn.{name}.weight" for name in ("add_k_proj", "add_v_proj", "to_out.0")
)
FAMILY = TinyFamily(
    make,
    index={
        "_class_name": "Flux2KleinPipeline",
        "_diffusers_version": "0.37.0.dev0",
        "is_distilled": False,
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "Qwen3ForCausalLM"],
        "tokenizer": ["transformers", "Qwen2TokenizerFast"],
        "transformer": ["diffusers", "Flux2Transformer2DModel"],
        "vae": ["diffusers", "AutoencoderKLFlux2"],
    },
    published={
        "transformer": {"in_channels": 128, "joint_attention_dim": 7680, "guidance_embeds": False},
        "vae": {"block_out_channels": [128, 256, 512, 512], "latent_channels": 32},
        "pipeline": {"is_distilled": False},
    },
    side=1024,
    defaults={
        "klein base": ({}, Defaults(50, 4.0)),
        "klein": (
            {"pipeline": {"is_distilled": True}},
            Defaults(4, 0.0, "FLUX.2 klein, the distilled one"),
        ),
    },
    options=lambda guidance: {"guidance_scale": guidance},
    unguided=1.0,
    guided=4.0,
    cross_attention=CROSS_ATTENTION,
    adapted=ADAPTED,
)
