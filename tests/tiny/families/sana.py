"""A tiny Sana."""

import inspect
from functools import cache
from typing import Any

from spqr_tests.checkpoint.backbones.backbone import Defaults
from tests.tiny.families.facts import Facts, Published

_BYTES: dict[str, Any] = {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True}
_BLOCKS = [f"transformer_blocks.{block}" for block in (0, 1)]


@cache
def _table() -> str:
    """A tokenizer.json of Gemma's kind, trained on Sana's own instruction."""
    from diffusers import SanaPipeline
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    instruction = inspect.signature(SanaPipeline.__call__).parameters["complex_human_instruction"]
    tokenizer = Tokenizer(models.BPE(**_BYTES))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    raw = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=480, special_tokens=specials + raw)
    # Words are split at spaces, which only the trainer needs.
    words = [word for line in instruction.default for word in f"{line} red heart".split(" ")]
    tokenizer.train_from_iterator((f"\u2581{word}" for word in words), trainer)
    found: str = tokenizer.to_str()
    return found


def gemma_tokenizer() -> Any:
    """A tokenizer of Gemma's class that knows the instruction's words."""
    from tokenizers import Tokenizer
    from transformers import GemmaTokenizerFast

    return GemmaTokenizerFast(tokenizer_object=Tokenizer.from_str(_table()), add_bos_token=True)


def gemma(width: int) -> Any:
    """A Gemma 2 of two layers."""
    from transformers import Gemma2Config, Gemma2Model

    return Gemma2Model(
        Gemma2Config(
            vocab_size=512,
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
            query_pre_attn_scalar=8,
        )
    )


def _make() -> Any:
    from diffusers import (
        AutoencoderDC,
        DPMSolverMultistepScheduler,
        SanaPipeline,
        SanaTransformer2DModel,
    )

    return SanaPipeline(
        transformer=SanaTransformer2DModel(
            in_channels=8,
            out_channels=8,
            num_layers=2,
            num_attention_heads=2,
            attention_head_dim=8,
            num_cross_attention_heads=2,
            cross_attention_head_dim=8,
            cross_attention_dim=16,
            caption_channels=32,
            sample_size=16,
        ),
        scheduler=DPMSolverMultistepScheduler(
            flow_shift=3.0, use_flow_sigmas=True, prediction_type="flow_prediction"
        ),
        vae=AutoencoderDC(
            latent_channels=8,
            attention_head_dim=2,
            encoder_block_types=("ResBlock", "EfficientViTBlock"),
            decoder_block_types=("ResBlock", "EfficientViTBlock"),
            encoder_block_out_channels=(8, 8),
            decoder_block_out_channels=(8, 8),
            encoder_layers_per_block=(1, 1),
            decoder_layers_per_block=(1, 1),
            encoder_qkv_multiscales=((), (5,)),
            decoder_qkv_multiscales=((), (5,)),
            downsample_block_type="Conv",
            upsample_block_type="interpolate",
            decoder_norm_types="rms_norm",
            decoder_act_fns="silu",
            scaling_factor=0.41407,
        ),
        text_encoder=gemma(32),
        tokenizer=gemma_tokenizer(),
    )


def _published(
    rows: int, heads: int, cross: tuple[int, int], layers: int, **more: Any
) -> Published:
    """Converted by diffusers' scripts/convert_sana_to_diffusers.py."""
    transformer = {
        "attention_bias": False,
        "attention_head_dim": 32,
        "caption_channels": 2304,
        "cross_attention_dim": cross[0] * cross[1],
        "cross_attention_head_dim": cross[1],
        "in_channels": 32,
        "mlp_ratio": 2.5,
        "norm_elementwise_affine": False,
        "norm_eps": 1e-6,
        "num_attention_heads": heads,
        "num_cross_attention_heads": cross[0],
        "num_layers": layers,
        "out_channels": 32,
        "patch_size": 1,
        "sample_size": rows,
        **more,
    }
    configs = {
        "transformer": transformer,
        "vae": {
            "decoder_block_out_channels": [128, 256, 512, 512, 1024, 1024],
            "encoder_block_out_channels": [128, 256, 512, 512, 1024, 1024],
            "in_channels": 3,
            "latent_channels": 32,
            "scaling_factor": 0.41407,
        },
        "text_encoder": {"hidden_size": 2304, "model_type": "gemma2", "vocab_size": 256000},
        "scheduler": {
            "_class_name": "DPMSolverMultistepScheduler",
            "flow_shift": 3.0,
            "prediction_type": "flow_prediction",
            "use_flow_sigmas": True,
        },
    }
    return Published(configs, 32 * rows, Defaults(20, 4.5))


SANA = Facts(
    make=_make,
    name="Sana",
    index={
        "_class_name": "SanaPipeline",
        "_diffusers_version": "0.32.0.dev0",
        "scheduler": ["diffusers", "DPMSolverMultistepScheduler"],
        "text_encoder": ["transformers", "Gemma2Model"],
        "tokenizer": ["transformers", "GemmaTokenizerFast"],
        "transformer": ["diffusers", "SanaTransformer2DModel"],
        "vae": ["diffusers", "AutoencoderDC"],
    },
    published=(
        _published(16, 70, (20, 112), 20),
        _published(32, 70, (20, 112), 20),
        _published(32, 36, (16, 72), 28),
        _published(32, 70, (20, 112), 60, qk_norm="rms_norm_across_heads"),
        _published(64, 70, (20, 112), 20, interpolation_scale=1.0),
        _published(128, 70, (20, 112), 20, interpolation_scale=2.0),
    ),
    limits={"text_encoder": 299},
    lite=frozenset(
        f"{block}.attn{kind}.{layer}"
        for block in _BLOCKS
        for kind in (1, 2)
        for layer in ("to_q", "to_k", "to_v", "to_out.0")
    ),
    moderate=frozenset(
        f"{block}.attn2.{layer}.{kind}"
        for block in _BLOCKS
        for layer in ("to_k", "to_v", "to_out.0")
        for kind in ("weight", "bias")
    ),
    learned=0.9,
    by_hand={"use_resolution_binning": False},
    broken=(
        "transformer",
        "guidance_embeds",
        True,
        "guidance_embeds is 1 (it is Sana Sprint), and Sana's is 0",
    ),
)
