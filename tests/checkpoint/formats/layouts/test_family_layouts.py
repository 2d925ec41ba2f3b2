"""Layouts of families that are read from folders, at published widths, against diffusers' own."""

from types import SimpleNamespace
from typing import Any

import diffusers
import pytest
import torch
from diffusers.loaders.single_file_model import SINGLE_FILE_LOADABLE_CLASSES

from spqr_tests.checkpoint.backbones import BACKBONES
from spqr_tests.checkpoint.backbones.backbone import Backbone
from spqr_tests.checkpoint.formats import kinds
from spqr_tests.checkpoint.formats.layouts import Layout
from spqr_tests.checkpoint.formats.tensor import StoredTensor
from spqr_tests.errors import InputError
from tests.checkpoint.formats import originals_families
from tests.checkpoint.formats.layouts.test_layouts import assert_same, pieces_of
from tests.checkpoint.tiny_pipelines import Tensors

# Class of the transformer, the published values that are not the class's defaults, and few layers.
PUBLISHED: dict[str, tuple[str, dict[str, Any]]] = {
    "flux-2-klein": (
        "Flux2Transformer2DModel",
        {
            "guidance_embeds": False,
            "joint_attention_dim": 7680,
            "num_attention_heads": 24,
            "num_layers": 2,
            "num_single_layers": 2,
        },
    ),
    "chroma": ("ChromaTransformer2DModel", {"num_layers": 2, "num_single_layers": 2}),
    "z-image": ("ZImageTransformer2DModel", {"n_layers": 2}),
    "lumina-2": ("Lumina2Transformer2DModel", {"cap_feat_dim": 2304, "num_layers": 2}),
    "sana": ("SanaTransformer2DModel", {"num_layers": 2}),
    "auraflow": ("AuraFlowTransformer2DModel", {"num_mmdit_layers": 2, "num_single_dit_layers": 2}),
    "qwen-image": ("QwenImageTransformer2DModel", {"num_layers": 2, "guidance_embeds": False}),
}
# As their authors' code names them: one for each way in which a module is stored.
STORED = {
    "flux-2-klein": {
        "transformer_blocks.1.attn.to_k": "double_blocks.1.img_attn.qkv",
        "transformer_blocks.1.attn.add_v_proj": "double_blocks.1.txt_attn.qkv",
        "transformer_blocks.0.ff_context.linear_in": "double_blocks.0.txt_mlp.0",
        "single_transformer_blocks.1.attn.to_qkv_mlp_proj": "single_blocks.1.linear1",
        "single_stream_modulation.linear": "single_stream_modulation.lin",
        "norm_out.linear": "final_layer.adaLN_modulation.1",
    },
    "chroma": {
        "distilled_guidance_layer.layers.4.linear_2": "distilled_guidance_layer.layers.4.out_layer",
        "transformer_blocks.1.attn.to_add_out": "double_blocks.1.txt_attn.proj",
        "single_transformer_blocks.1.proj_mlp": "single_blocks.1.linear1",
    },
    "z-image": {
        "layers.1.attention.to_v": "layers.1.attention.qkv",
        "context_refiner.0.attention.to_out.0": "context_refiner.0.attention.out",
        "all_final_layer.2-1.adaLN_modulation.1": "final_layer.adaLN_modulation.1",
        "layers.0.feed_forward.w3": "layers.0.feed_forward.w3",
    },
    "lumina-2": {
        "layers.1.attn.to_k": "layers.1.attention.qkv",
        "noise_refiner.1.norm1.linear": "noise_refiner.1.adaLN_modulation.1",
        "layers.0.feed_forward.linear_3": "layers.0.feed_forward.w3",
        "time_caption_embed.caption_embedder.1": "cap_embedder.1",
    },
    "sana": {
        "transformer_blocks.1.attn2.to_v": "blocks.1.cross_attn.kv_linear",
        "transformer_blocks.1.ff.conv_depth": "blocks.1.mlp.depth_conv.conv",
        "time_embed.linear": "t_block.1",
    },
    "auraflow": {
        "joint_transformer_blocks.1.attn.to_q": "double_layers.1.attn.w2q",
        "joint_transformer_blocks.1.attn.add_k_proj": "double_layers.1.attn.w1k",
        "single_transformer_blocks.1.attn.to_out.0": "single_layers.1.attn.w1o",
        "single_transformer_blocks.1.norm1.linear": "single_layers.1.modCX.1",
        "norm_out.linear": "modF.1",
    },
    "qwen-image": {"transformer_blocks.1.img_mod.1": "transformer_blocks.1.img_mod.1"},
}
FAMILY = {
    "flux-2-klein": "FLUX.2",
    "chroma": "Chroma",
    "z-image": "Z-Image",
    "lumina-2": "Lumina",
    "sana": "Sana",
    "auraflow": "AuraFlow",
    "qwen-image": "Qwen-Image",
}
NAMES = pytest.mark.parametrize("name", PUBLISHED)


def weightless(name: str) -> Any:
    """The published transformer with a few of its layers, on the meta device."""
    model_class, settings = PUBLISHED[name]
    with torch.device("meta"):
        return getattr(diffusers, model_class)(**settings)


def backbone_of(name: str) -> Backbone:
    model_class, _ = PUBLISHED[name]
    (found,) = (
        one
        for one in BACKBONES
        if model_class in one.models.get(one.denoiser, ("", frozenset()))[1]
    )
    return found


def layout_of(name: str, model: Any) -> Layout:
    original = backbone_of(name).original
    assert original is not None
    return Layout(original, {"transformer": dict(model.config)})


def narrow(model: Any) -> Tensors:
    """Random tensors with all of the model's rows, where files stack them, and few columns."""
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(
            (*tensor.shape[:1], *(min(size, 2) for size in tensor.shape[1:])), generator=generator
        )
        for name, tensor in model.state_dict().items()
    }


@NAMES
def test_transformers_are_what_diffusers_makes_of_them(name: str) -> None:
    model = weightless(name)
    expected = narrow(model)
    stored = originals_families.transformer(name, SimpleNamespace(state_dict=lambda: expected))
    layout = layout_of(name, model)
    assert layout.names("transformer") == expected.keys()
    assert all(layout.places(key, tuple(one.shape)) is not None for key, one in stored.items())
    found = pieces_of(layout, stored, "transformer")
    assert_same(found, expected)
    convert = SINGLE_FILE_LOADABLE_CLASSES[type(model).__name__]["checkpoint_mapping_fn"]
    assert_same(found, convert(checkpoint=dict(stored)))
    prefixed = {f"model.diffusion_model.{key}": tensor for key, tensor in stored.items()}
    assert_same(pieces_of(layout, prefixed, "transformer"), expected)


@NAMES
def test_modules_have_the_names_that_their_authors_gave_them(name: str) -> None:
    layout = layout_of(name, weightless(name))
    for module, stored in STORED[name].items():
        assert layout.stored_module("transformer", module) == stored
    assert layout.places("double_blocks.9.img_attn.qkv.weight", (6, 2)) is None


@NAMES
def test_files_are_told_by_their_names(name: str) -> None:
    shapes = originals_families.transformer(name, weightless(name))
    tensors = {key: StoredTensor(key, "BF16", tuple(one.shape)) for key, one in shapes.items()}
    assert kinds.family(tensors) == FAMILY[name]
    assert kinds.other(tensors) is None
    assert not kinds.inversion_widths(tensors)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("sana", {"qk_norm": "rms_norm_across_heads"}),
        ("z-image", {"all_patch_size": (2, 4), "all_f_patch_size": (1, 1)}),
        ("z-image", {"n_kv_heads": 10}),
        ("qwen-image", {"use_additional_t_cond": True}),
    ],
)
def test_what_diffusers_does_not_convert_has_no_layout(name: str, changed: dict[str, Any]) -> None:
    original = backbone_of(name).original
    assert original is not None
    config = dict(weightless(name).config) | changed
    with pytest.raises(InputError, match=r"can hold \(ValueError: .* diffusers folder"):
        Layout(original, {"transformer": config})
