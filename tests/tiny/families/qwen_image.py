"""Qwen-Image."""

import json
from pathlib import Path
from typing import Any

from spqr_tests.checkpoint.backbones.backbone import Defaults
from tests.tiny.families import qwen_words
from tests.tiny.families.family import TinyFamily


def text_encoder() -> Any:
    """Qwen2.5-VL of width 16."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    text = {
        "vocab_size": qwen_words.size(),
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "rope_theta": 1_000_000.0,
        "rope_scaling": {"rope_type": "default", "type": "default", "mrope_section": [1, 1, 2]},
        "bos_token_id": None,
        "eos_token_id": None,
    }
    vision = {
        "depth": 1,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_heads": 2,
        "out_hidden_size": 16,
        "fullatt_block_indexes": [0],
    }
    return Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(text_config=text, vision_config=vision)
    )


def make() -> Any:
    from diffusers import (
        AutoencoderKLQwenImage,
        FlowMatchEulerDiscreteScheduler,
        QwenImagePipeline,
        QwenImageTransformer2DModel,
    )

    channels = 4
    return QwenImagePipeline(
        # As published, but for the shift, which depends on a size of other scales.
        scheduler=FlowMatchEulerDiscreteScheduler(
            base_image_seq_len=256,
            base_shift=0.5,
            max_image_seq_len=8192,
            max_shift=0.9,
            shift=1.0,
            shift_terminal=0.02,
            use_dynamic_shifting=True,
        ),
        vae=AutoencoderKLQwenImage(
            base_dim=8,
            z_dim=channels,
            dim_mult=[1, 2],
            num_res_blocks=1,
            temperal_downsample=[False],
            latents_mean=[-0.7571, -0.7089, -0.9113, 0.1075],
            latents_std=[2.8184, 1.4541, 2.3275, 2.6558],
        ),
        text_encoder=text_encoder(),
        tokenizer=qwen_words.made(),
        transformer=QwenImageTransformer2DModel(
            patch_size=2,
            in_channels=4 * channels,
            out_channels=channels,
            num_layers=2,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=16,
            axes_dims_rope=(4, 6, 6),
        ),
    )


def _as_published(folder: Path) -> None:
    """The config of an older transformers, and Qwen's own files of the tokenizer."""
    path = folder / "text_encoder" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    text = config["text_config"]
    rope = text.pop("rope_parameters")
    text |= {
        "rope_theta": rope.pop("rope_theta"),
        "rope_scaling": {**rope, "type": rope["rope_type"]},
        "use_cache": True,
    }
    config |= {key: one for key, one in text.items() if key != "model_type"}
    config |= {"torch_dtype": "bfloat16", "transformers_version": "4.53.1"}
    path.write_text(json.dumps(config), encoding="utf-8")
    for one in (folder / "tokenizer").iterdir():
        one.unlink()
    qwen_words.write(folder / "tokenizer")


_SHIFT = {"base_shift": 1.0986122886681098, "max_shift": 1.0986122886681098, "shift_terminal": None}
FAMILY = TinyFamily(
    make,
    index={
        "_class_name": "QwenImagePipeline",
        "_diffusers_version": "0.34.0.dev0",
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "Qwen2_5_VLForConditionalGeneration"],
        "tokenizer": ["transformers", "Qwen2Tokenizer"],
        "transformer": ["diffusers", "QwenImageTransformer2DModel"],
        "vae": ["diffusers", "AutoencoderKLQwenImage"],
    },
    published={
        "transformer": {"in_channels": 64, "patch_size": 2, "joint_attention_dim": 3584},
        "vae": {"z_dim": 16, "temperal_downsample": [False, True, True]},
        "scheduler": {"base_shift": 0.5, "max_shift": 0.9, "shift_terminal": 0.02},
    },
    side=1328,
    defaults={
        "Qwen-Image": ({}, Defaults(50, 4.0)),
        "Lightning": ({"scheduler": _SHIFT}, Defaults(8, 0.0, "Qwen-Image-Lightning")),
    },
    options=lambda guidance: {"true_cfg_scale": guidance, "negative_prompt": " "},
    unguided=1.0,
    guided=4.0,
    cross_attention=frozenset(
        f"transformer_blocks.{block}.attn.{name}.{kind}"
        for block in (0, 1)
        for name in ("add_k_proj", "add_v_proj", "to_out.0")
        for kind in ("weight", "bias")
    ),
    adapted=frozenset(
        f"transformer_blocks.{block}.attn.{name}"
        for block in (0, 1)
        for name in ("to_q", "to_k", "to_v", "to_out.0")
    ),
    unused=("transformer_blocks.1.txt_mlp.", "transformer_blocks.1.attn.to_add_out."),
    older=_as_published,
)
