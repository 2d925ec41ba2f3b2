"""Z-Image."""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from spqr_tests.checkpoint.backbones.backbone import Defaults
from tests.tiny.families import qwen_words
from tests.tiny.families.family import TinyFamily
from tests.tiny.families.vae import vae

_TURBO = {"shift": 3.0, "use_dynamic_shifting": False}


def make() -> Any:
    from diffusers import (
        FlowMatchEulerDiscreteScheduler,
        ZImagePipeline,
        ZImageTransformer2DModel,
    )
    from transformers import Qwen3Config, Qwen3Model

    text = Qwen3Config(
        vocab_size=qwen_words.size(),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
    )
    transformer = ZImageTransformer2DModel(
        in_channels=16,
        dim=32,
        n_layers=2,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=16,
        axes_dims=[4, 6, 6],
        axes_lens=[1024, 32, 32],
    )
    for token in (transformer.x_pad_token, transformer.cap_pad_token):
        token.data.normal_()
    return ZImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae(
            16,
            scaling_factor=0.3611,
            shift_factor=0.1159,
            use_quant_conv=False,
            use_post_quant_conv=False,
        ),
        text_encoder=Qwen3Model(text),
        tokenizer=qwen_words.made(),
        transformer=transformer,
    )


def _as_published(folder: Path) -> None:
    """Qwen3's own weights and config: of the whole language model, by an older transformers."""
    path = folder / "text_encoder" / "model.safetensors"
    tensors = {f"model.{name}": tensor for name, tensor in load_file(path).items()}
    save_file(tensors, path)
    path = folder / "text_encoder" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config |= {
        "architectures": ["Qwen3ForCausalLM"],
        "max_window_layers": 36,
        "rope_scaling": None,
        "rope_theta": config.pop("rope_parameters")["rope_theta"],
        "torch_dtype": "bfloat16",
        "transformers_version": "4.51.0",
    }
    path.write_text(json.dumps(config), encoding="utf-8")


_ATTENTIONS = ("layers.0", "layers.1", "noise_refiner.0", "context_refiner.0")
_REFINER = (
    "attention.norm_q attention.norm_k attention.to_q attention.to_k attention.to_v"
    " attention.to_out.0 feed_forward.w1 feed_forward.w2 feed_forward.w3 attention_norm1 ffn_norm1"
    " attention_norm2 ffn_norm2"
).split()
FAMILY = TinyFamily(
    make,
    index={
        "_class_name": "ZImagePipeline",
        "_diffusers_version": "0.36.0.dev0",
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "Qwen3Model"],
        "tokenizer": ["transformers", "Qwen2Tokenizer"],
        "transformer": ["diffusers", "ZImageTransformer2DModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    },
    published={
        "transformer": {"in_channels": 16, "all_patch_size": [2], "cap_feat_dim": 2560},
        "vae": {"block_out_channels": [128, 256, 512, 512], "sample_size": 1024},
        "scheduler": {"shift": 6.0, "use_dynamic_shifting": False},
    },
    side=1024,
    defaults={
        "Z-Image": ({}, Defaults(50, 4.0)),
        "Z-Image-Turbo": ({"scheduler": _TURBO}, Defaults(9, 0.0, "Z-Image-Turbo")),
    },
    options=lambda guidance: {"guidance_scale": guidance},
    unguided=0.0,
    guided=4.0,
    cross_attention=frozenset(
        {"cap_embedder.0.weight", "cap_embedder.1.weight", "cap_embedder.1.bias"}
        | {f"context_refiner.0.{name}.weight" for name in _REFINER}
    ),
    adapted=frozenset(
        f"{block}.attention.{name}"
        for block in _ATTENTIONS
        for name in ("to_q", "to_k", "to_v", "to_out.0")
    ),
    older=_as_published,
)
