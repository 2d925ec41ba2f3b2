"""Names and shapes of published adapters, a few modules of each, and what is said of them.

Most are from the lists that InvokeAI tests its own converters with (tests/backend/patches/
lora_conversions/lora_state_dicts). Names and shapes alone: no weights.
"""

from collections.abc import Mapping, Sequence

Shapes = dict[str, tuple[int, ...]]


def _pairs(modules: Mapping[str, tuple[int, int]], rank: int, names: Sequence[str]) -> Shapes:
    """The tensors of modules by the shape of their weight; `names` are of down, up and alpha."""
    shapes: Shapes = {}
    for module, (out, into) in modules.items():
        shapes |= {f"{module}.{names[0]}": (rank, into), f"{module}.{names[1]}": (out, rank)}
        shapes |= {f"{module}.{name}": () for name in names[2:]}
    return shapes


_KOHYA = ("lora_down.weight", "lora_up.weight", "alpha")
_PEFT = ("lora_A.weight", "lora_B.weight")


def _lokr(modules: Mapping[str, tuple[tuple[int, int], tuple[int, int]]]) -> Shapes:
    return {
        f"{module}.{name}": shape
        for module, (first, second) in modules.items()
        for name, shape in (("lokr_w1", first), ("lokr_w2", second), ("alpha", ()))
    }


_ONETRAINER = {
    "lora_te1_text_model_encoder_layers_0_mlp_fc1": (3072, 768),
    "lora_te1_text_model_encoder_layers_0_self_attn_out_proj": (768, 768),
    "lora_te2_encoder_block_2_layer_0_SelfAttention_v": (4096, 4096),
    "lora_te2_encoder_block_2_layer_1_DenseReluDense_wi_0": (10240, 4096),
    "lora_te2_encoder_block_2_layer_1_DenseReluDense_wo": (4096, 10240),
    "lora_transformer_transformer_blocks_9_attn_add_k_proj": (3072, 3072),
    "lora_transformer_transformer_blocks_9_attn_to_add_out": (3072, 3072),
    "lora_transformer_transformer_blocks_9_attn_to_out_0": (3072, 3072),
    "lora_transformer_single_transformer_blocks_0_attn_to_q": (3072, 3072),
}

RECOGNISED: dict[str, tuple[Shapes, str]] = {
    "FLUX.1, kohya": (
        _pairs(
            {
                "lora_unet_double_blocks_0_img_attn_qkv": (9216, 3072),
                "lora_unet_double_blocks_18_txt_attn_proj": (3072, 3072),
                "lora_unet_double_blocks_0_img_mlp_0": (12288, 3072),
                "lora_unet_double_blocks_0_img_mod_lin": (18432, 3072),
                "lora_unet_single_blocks_7_linear1": (21504, 3072),
                "lora_unet_single_blocks_7_linear2": (3072, 15360),
                "lora_unet_single_blocks_7_modulation_lin": (9216, 3072),
            },
            16,
            _KOHYA,
        ),
        "12 of the transformer's 1160 tensors get a low-rank update, in kohya's names",
    ),
    "FLUX.1, ai-toolkit": (
        _pairs(
            {
                "diffusion_model.double_blocks.0.img_attn.proj": (3072, 3072),
                "diffusion_model.double_blocks.0.img_attn.qkv": (9216, 3072),
                "diffusion_model.double_blocks.10.img_mlp.2": (3072, 12288),
                "diffusion_model.double_blocks.0.txt_mlp.0": (12288, 3072),
            },
            16,
            _PEFT,
        ),
        "6 of the transformer's 1160 tensors get a low-rank update, in peft's names",
    ),
    "FLUX.1, diffusers (Hyper-SD)": (
        _pairs(
            {
                "transformer.context_embedder": (3072, 4096),
                "transformer.norm_out.linear": (6144, 3072),
                "transformer.proj_out": (64, 3072),
                "transformer.single_transformer_blocks.0.norm.linear": (9216, 3072),
                "transformer.single_transformer_blocks.0.proj_mlp": (12288, 3072),
                "transformer.single_transformer_blocks.0.proj_out": (3072, 15360),
            },
            64,
            _PEFT,
        ),
        "6 of the transformer's 1160 tensors get a low-rank update, in peft's names",
    ),
    "FLUX.1, peft": (
        _pairs(
            {
                "base_model.model.transformer_blocks.9.attn.to_out.0": (3072, 3072),
                "base_model.model.transformer_blocks.9.ff.net.0.proj": (12288, 3072),
                "base_model.model.transformer_blocks.9.ff_context.net.0.proj": (12288, 3072),
            },
            4,
            _PEFT,
        ),
        "3 of the transformer's 1160 tensors get a low-rank update, in peft's names",
    ),
    "FLUX.1, OneTrainer's DoRA": (
        _pairs(_ONETRAINER, 4, _KOHYA)
        | {f"{module}.dora_scale": (1, into) for module, (_, into) in _ONETRAINER.items()},
        (
            "4 of the transformer's 1160, 2 of the text_encoder's 196 and 3 of the text_encoder_2's"
            " 219 tensors get a DoRA update, in kohya's names"
        ),
    ),
}
"""On FLUX.1 dev."""

REFUSED: dict[str, tuple[Shapes, str]] = {
    # The list multiplies to 1024 x 3072, which no layer of FLUX.1 has.
    "LoKr of other sizes": (
        _lokr({"diffusion_model.double_blocks.0.img_attn.proj": ((32, 96), (32, 32))}),
        "is a LoKr adapter of another base",
    ),
    "Qwen-Image, kohya's LoKr": (
        _lokr(
            {
                "lora_unet_transformer_blocks_0_attn_to_k": ((3072, 16), (16, 3072)),
                "lora_unet_transformer_blocks_0_img_mlp_net_0_proj": ((12288, 16), (16, 3072)),
                "lora_unet_transformer_blocks_0_txt_mlp_net_2": ((3072, 16), (16, 12288)),
            }
        ),
        "It was made for Qwen-Image.",
    ),
    "Anima, kohya": (
        _pairs(
            {
                "lora_unet_blocks_0_cross_attn_k_proj": (2048, 2048),
                "lora_te_layers_0_self_attn_q_proj": (1024, 1024),
                "lora_te_layers_0_mlp_gate_proj": (2816, 1024),
            },
            8,
            _KOHYA,
        ),
        "It was made for Anima.",
    ),
    "Anima, peft": (
        _pairs(
            {
                "diffusion_model.blocks.0.cross_attn.k_proj": (2048, 2048),
                "diffusion_model.blocks.0.mlp.layer1": (8192, 2048),
            },
            8,
            _PEFT,
        ),
        "It was made for Anima.",
    ),
    "Anima, LoKr and DoRA": (
        _lokr({"diffusion_model.blocks.0.cross_attn.k_proj": ((2048, 8), (8, 2048))})
        | {"diffusion_model.blocks.0.cross_attn.k_proj.dora_scale": (2048,)},
        "It was made for Anima.",
    ),
    "Krea 2, kohya": (
        _pairs(
            {
                "lora_unet_blocks_0_attn_wk": (1536, 6144),
                "lora_unet_txtfusion_projector": (1, 12),
                "lora_unet_last_linear": (64, 6144),
            },
            32,
            _KOHYA,
        ),
        "It was made for Krea 2.",
    ),
}
"""On FLUX.1 dev, and on every other family."""
