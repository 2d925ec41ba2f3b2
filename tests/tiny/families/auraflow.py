"""A tiny AuraFlow."""

from typing import Any

from spqr_tests.checkpoint.backbones.backbone import Defaults
from tests.tiny.families import parts
from tests.tiny.families.facts import Facts, Published

_BYTES: dict[str, Any] = {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True}
_JOINT = "joint_transformer_blocks.0.attn"
_ADAPTED = ("to_q", "to_k", "to_v", "to_out.0")


def llama_tokenizer() -> Any:
    """A tokenizer of Llama's class as Pile-T5 has it: bytes, an end, no beginning."""
    from tokenizers import Tokenizer, decoders, models, normalizers
    from transformers import LlamaTokenizerFast

    words = ["<unk>", "<pad>", "</s>", "<s>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581"]
    words += [*"abcdefghijklmnopqrstuvwxyz", "\u2581a", "re", "\u2581re"]
    ids = {word: number for number, word in enumerate(words)}
    pairs = [("\u2581", "a"), ("r", "e"), ("\u2581", "re")]
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=pairs, **_BYTES))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    names = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return LlamaTokenizerFast(
        tokenizer_object=tokenizer, add_bos_token=False, add_eos_token=True, **names
    )


def umt5(width: int) -> Any:
    """A UMT5 encoder of two layers."""
    from transformers import UMT5Config, UMT5EncoderModel

    return UMT5EncoderModel(
        UMT5Config(
            vocab_size=320,
            d_model=width,
            d_kv=8,
            d_ff=32,
            num_layers=2,
            num_heads=2,
            is_encoder_decoder=False,
            use_cache=False,
        )
    )


def _make() -> Any:
    from diffusers import (
        AuraFlowPipeline,
        AuraFlowTransformer2DModel,
        FlowMatchEulerDiscreteScheduler,
    )

    return AuraFlowPipeline(
        transformer=AuraFlowTransformer2DModel(
            sample_size=16,
            num_mmdit_layers=1,
            num_single_dit_layers=2,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=32,
            caption_projection_dim=16,
            pos_embed_max_size=256,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.73),
        vae=parts.vae(4, scaling_factor=0.13025, force_upcast=True),
        text_encoder=umt5(32),
        tokenizer=llama_tokenizer(),
    )


def _published(positions: int) -> Published:
    transformer = {
        "attention_head_dim": 256,
        "caption_projection_dim": 3072,
        "in_channels": 4,
        "joint_attention_dim": 2048,
        "num_attention_heads": 12,
        "num_mmdit_layers": 4,
        "num_single_dit_layers": 32,
        "out_channels": 4,
        "patch_size": 2,
        "pos_embed_max_size": positions,
        "sample_size": 64,
    }
    configs = {
        "transformer": transformer,
        "vae": parts.PUBLISHED_VAE,
        "text_encoder": {"d_model": 2048, "model_type": "umt5", "vocab_size": 32128},
        "scheduler": {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 1.73},
    }
    return Published(configs, 1024, Defaults(50, 3.5))


AURAFLOW = Facts(
    make=_make,
    name="AuraFlow",
    index={
        "_class_name": "AuraFlowPipeline",
        "_diffusers_version": "0.30.0.dev0",
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "UMT5EncoderModel"],
        "tokenizer": ["transformers", "LlamaTokenizerFast"],
        "transformer": ["diffusers", "AuraFlowTransformer2DModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    },
    # 0.1 and 0.2; 0.3, for images of other shapes.
    published=(_published(4096), _published(9216)),
    limits={"text_encoder": 256},
    lite=frozenset(
        f"{block}.{layer}"
        for block in (_JOINT, *(f"single_transformer_blocks.{one}.attn" for one in (0, 1)))
        for layer in _ADAPTED
    ),
    moderate=frozenset(
        f"{_JOINT}.{layer}.weight" for layer in ("add_k_proj", "add_v_proj", "to_out.0")
    ),
    learned=0.9,
    times=1 / 1000,
    broken=(
        "transformer",
        "joint_attention_dim",
        48,
        "joint_attention_dim is 48, and the text_encoder's d_model is 32",
    ),
)
