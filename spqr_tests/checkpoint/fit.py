"""Whether a checkpoint's weights fit its configs, before anything is loaded.

The names of the tensors are compared with those of the architecture, and the first and last layers'
shapes with the config: without torch, and from the headers of the files. Where these differ, or the
architecture is not one that its authors publish, the libraries' own model decides.
"""

from collections.abc import Callable, Mapping
from typing import Any

from spqr_tests.checkpoint.formats import configs
from spqr_tests.checkpoint.formats.layouts import Layout
from spqr_tests.checkpoint.parts import Component, Parts
from spqr_tests.errors import InputError

Shapes = dict[str, tuple[Any, ...]]


def require(parts: Parts) -> None:
    """`InputError` for a component whose weights do not fit its config; parts without any do."""
    for component in parts.models.values():
        if component.tensors and not _fits(parts, component):
            from spqr_tests.checkpoint import loading

            loading.require_fit(parts, component)


def _fits(parts: Parts, component: Component) -> bool:
    """Whether a component certainly fits, as far as its outermost layers tell."""
    original = parts.backbone.original
    if original is None:
        return False
    try:
        names = Layout(original, {component.name: component.config}).names(component.name)
        config = configs.whole(component.model_class, component.config)
        shapes = _OUTERMOST[component.model_class](config)
    except (InputError, KeyError, TypeError, IndexError):
        return False  # not an architecture that the authors publish
    return names == component.tensors.keys() and all(
        component.tensors[name].shape == shape
        for name, shape in shapes.items()
        if name in component.tensors
    )


def _unet(config: Mapping[str, Any]) -> Shapes:
    first = config["block_out_channels"][0]
    return {
        "conv_in.weight": (first, config["in_channels"], 3, 3),
        "conv_out.weight": (config["out_channels"], first, 3, 3),
        "time_embedding.linear_1.weight": (4 * first, first),
    }


def _autoencoder(config: Mapping[str, Any]) -> Shapes:
    channels, latents = config["block_out_channels"], config["latent_channels"]
    return {
        "encoder.conv_in.weight": (channels[0], config["in_channels"], 3, 3),
        "encoder.conv_out.weight": (2 * latents, channels[-1], 3, 3),
        "decoder.conv_in.weight": (channels[-1], latents, 3, 3),
        "decoder.conv_out.weight": (config["out_channels"], channels[0], 3, 3),
    }


def _clip(config: Mapping[str, Any]) -> Shapes:
    width = config["hidden_size"]
    return {
        "embeddings.token_embedding.weight": (config["vocab_size"], width),
        "embeddings.position_embedding.weight": (config["max_position_embeddings"], width),
        "encoder.layers.0.mlp.fc1.weight": (config["intermediate_size"], width),
        "final_layer_norm.weight": (width,),
        "text_projection.weight": (config["projection_dim"], width),
    }


def _t5(config: Mapping[str, Any]) -> Shapes:
    width = config["d_model"]
    return {
        "shared.weight": (config["vocab_size"], width),
        "encoder.block.0.layer.0.SelfAttention.q.weight": (
            config["num_heads"] * config["d_kv"],
            width,
        ),
        "encoder.final_layer_norm.weight": (width,),
    }


def _mmdit(config: Mapping[str, Any]) -> Shapes:
    width = config["num_attention_heads"] * config["attention_head_dim"]
    patch = config["patch_size"]
    return {
        "pos_embed.proj.weight": (width, config["in_channels"], patch, patch),
        "context_embedder.weight": (
            config["caption_projection_dim"],
            config["joint_attention_dim"],
        ),
        "time_text_embed.text_embedder.linear_1.weight": (width, config["pooled_projection_dim"]),
        "proj_out.weight": (patch**2 * config["out_channels"], width),
    }


def _flux(config: Mapping[str, Any]) -> Shapes:
    width = config["num_attention_heads"] * config["attention_head_dim"]
    out = config["out_channels"] or config["in_channels"]
    return {
        "x_embedder.weight": (width, config["in_channels"]),
        "context_embedder.weight": (width, config["joint_attention_dim"]),
        "time_text_embed.text_embedder.linear_1.weight": (width, config["pooled_projection_dim"]),
        "proj_out.weight": (config["patch_size"] ** 2 * out, width),
    }


_OUTERMOST: Mapping[str, Callable[[Mapping[str, Any]], Shapes]] = {
    "UNet2DConditionModel": _unet,
    "AutoencoderKL": _autoencoder,
    "CLIPTextModel": _clip,
    "CLIPTextModelWithProjection": _clip,
    "T5EncoderModel": _t5,
    "SD3Transformer2DModel": _mmdit,
    "FluxTransformer2DModel": _flux,
}
"""The shapes that a class's config states, for its first and last layers."""
