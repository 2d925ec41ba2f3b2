"""Pipelines in their authors' own layout.

The tensors are renamed from a model's modules and not from its config, so that this code shares
nothing with the tables under test.
"""

from collections.abc import Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any

import torch

from spqr_tests.checkpoint.formats.layouts import (
    flux,
    playground,
    stable_diffusion,
    stable_diffusion_3,
)
from spqr_tests.checkpoint.formats.layouts.table import Preset
from tests.checkpoint.formats.originals_mmdit import flux as flux_transformer
from tests.checkpoint.formats.originals_mmdit import mmdit
from tests.checkpoint.tiny_pipelines import Tensors

LAYOUTS = {
    "sd1": stable_diffusion.ORIGINAL,
    "sd2": stable_diffusion.ORIGINAL,
    "sdxl": stable_diffusion.ORIGINAL_XL,
    "sd3": stable_diffusion_3.ORIGINAL,
    "flux": flux.ORIGINAL,
    "playground": playground.ORIGINAL,
}
"""The layout that holds the tables of each backbone."""
COMPONENTS = ("unet", "transformer", "vae", "text_encoder", "text_encoder_2", "text_encoder_3")


def original(
    pipeline: Any,
    name: str,
    *,
    denoiser_only: bool = False,
    bare: bool = False,
    extras: bool = True,
) -> Tensors:
    """All tensors of a file that a backbone's authors would ship.

    `name` is one of `LAYOUTS`. With `denoiser_only` the file holds the denoiser alone; with `bare`
    its names lack the prefix that tells it from the other components. `extras` adds the tensors
    that published files hold and no component needs.
    """
    denoiser = {"sd3": mmdit, "flux": flux_transformer}.get(name, _unet)(
        pipeline.transformer if name in {"sd3", "flux"} else pipeline.unet
    )
    tensors = _prefixed("" if bare else "model.diffusion_model.", denoiser)
    if not denoiser_only:
        tensors |= _prefixed("first_stage_model.", autoencoder(pipeline.vae))
        tensors |= _OTHER_COMPONENTS[name](pipeline, extras=extras)
    return {key: tensor.detach().clone().contiguous() for key, tensor in tensors.items()}


def presets() -> Iterator[tuple[str, Preset]]:
    """Every published architecture, each with the name of its backbone."""
    for name, layout in LAYOUTS.items():
        for preset in layout.presets:
            if (name == "sd2") == preset.name.startswith("sd2"):
                yield name, preset


@cache
def weightless(published: str) -> Any:
    """A published pipeline's models at full size, on the meta device.

    `published` is the name of its preset. The weights need no memory.
    """
    import diffusers
    import transformers

    built = {}
    models = next(preset.models for _, preset in presets() if preset.name == published)
    with torch.device("meta"):
        for name, (class_name, settings) in models.items():
            if hasattr(diffusers, class_name):
                built[name] = getattr(diffusers, class_name).from_config(dict(settings))
            else:
                model_class = getattr(transformers, class_name)
                built[name] = model_class(model_class.config_class.from_dict(dict(settings)))
    return SimpleNamespace(**built)


def _prefixed(prefix: str, tensors: Tensors) -> Tensors:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _state(model: Any) -> Tensors:
    return {name.removeprefix("text_model."): tensor for name, tensor in model.state_dict().items()}


def _renamed(stored: str, module: Any, *changes: tuple[str, str]) -> Tensors:
    tensors = {}
    for name, tensor in module.state_dict().items():
        renamed = name
        for ours, theirs in changes:
            renamed = (
                theirs + renamed.removeprefix(ours) if renamed.startswith(ours + ".") else renamed
            )
        tensors[f"{stored}.{renamed}"] = tensor
    return tensors


def _unet(unet: Any) -> Tensors:
    resnet = (
        ("norm1", "in_layers.0"),
        ("conv1", "in_layers.2"),
        ("time_emb_proj", "emb_layers.1"),
        ("norm2", "out_layers.0"),
        ("conv2", "out_layers.3"),
        ("conv_shortcut", "skip_connection"),
    )
    tensors = (
        _renamed("time_embed", unet.time_embedding, ("linear_1", "0"), ("linear_2", "2"))
        | _renamed("input_blocks.0.0", unet.conv_in)
        | _renamed("out.0", unet.conv_norm_out)
        | _renamed("out.2", unet.conv_out)
    )
    if getattr(unet, "add_embedding", None) is not None:
        tensors |= _renamed("label_emb.0", unet.add_embedding, ("linear_1", "0"), ("linear_2", "2"))
    number = 0
    for block in unet.down_blocks:
        for j, layer in enumerate(block.resnets):
            number += 1
            tensors |= _renamed(f"input_blocks.{number}.0", layer, *resnet)
            if hasattr(block, "attentions"):
                tensors |= _renamed(f"input_blocks.{number}.1", block.attentions[j])
        if block.downsamplers is not None:
            number += 1
            tensors |= _renamed(f"input_blocks.{number}.0.op", block.downsamplers[0].conv)
    middle = unet.mid_block
    tensors |= _renamed("middle_block.0", middle.resnets[0], *resnet)
    tensors |= _renamed("middle_block.1", middle.attentions[0])
    tensors |= _renamed("middle_block.2", middle.resnets[1], *resnet)
    number = -1
    for block in unet.up_blocks:
        for j, layer in enumerate(block.resnets):
            number += 1
            tensors |= _renamed(f"output_blocks.{number}.0", layer, *resnet)
            if hasattr(block, "attentions"):
                tensors |= _renamed(f"output_blocks.{number}.1", block.attentions[j])
        if block.upsamplers is not None:
            place = 2 if hasattr(block, "attentions") else 1
            tensors |= _renamed(f"output_blocks.{number}.{place}.conv", block.upsamplers[0].conv)
    return tensors


def autoencoder(vae: Any) -> Tensors:
    """The autoencoder's tensors, without a prefix: what BFL's ae.safetensors holds."""
    tensors: Tensors = {}
    for side, coder, blocks, sampler in (
        ("encoder", vae.encoder, list(enumerate(vae.encoder.down_blocks)), "downsample"),
        ("decoder", vae.decoder, list(enumerate(reversed(vae.decoder.up_blocks))), "upsample"),
    ):
        tensors |= _renamed(f"{side}.conv_in", coder.conv_in) | _renamed(
            f"{side}.conv_out", coder.conv_out
        )
        tensors |= _renamed(f"{side}.norm_out", coder.conv_norm_out)
        for i in (0, 1):
            tensors |= _renamed(
                f"{side}.mid.block_{i + 1}",
                coder.mid_block.resnets[i],
                ("conv_shortcut", "nin_shortcut"),
            )
        attention = _renamed(
            f"{side}.mid.attn_1",
            coder.mid_block.attentions[0],
            *(
                ("group_norm", "norm"),
                ("to_q", "q"),
                ("to_k", "k"),
                ("to_v", "v"),
                ("to_out.0", "proj_out"),
            ),
        )
        tensors |= {
            name: tensor[..., None, None] if tensor.ndim == 2 else tensor
            for name, tensor in attention.items()
        }
        way = sampler.removesuffix("sample")
        for number, block in blocks:
            for j, layer in enumerate(block.resnets):
                tensors |= _renamed(
                    f"{side}.{way}.{number}.block.{j}", layer, ("conv_shortcut", "nin_shortcut")
                )
            samplers = getattr(block, f"{sampler}rs")
            if samplers is not None:
                tensors |= _renamed(f"{side}.{way}.{number}.{sampler}.conv", samplers[0].conv)
    for name in ("quant_conv", "post_quant_conv"):
        if getattr(vae, name) is not None:
            tensors |= _renamed(name, getattr(vae, name))
    return tensors


def _clip(model: Any) -> Tensors:
    return {
        name if name.startswith("text_projection") else f"text_model.{name}": tensor
        for name, tensor in _state(model).items()
    }


def _open_clip(model: Any) -> Tensors:
    state = _state(model)
    tensors = {
        "token_embedding.weight": state["embeddings.token_embedding.weight"],
        "positional_embedding": state["embeddings.position_embedding.weight"],
        "ln_final.weight": state["final_layer_norm.weight"],
        "ln_final.bias": state["final_layer_norm.bias"],
    }
    if "text_projection.weight" in state:
        tensors["text_projection"] = state["text_projection.weight"].T
    for i in range(model.config.num_hidden_layers):
        ours, theirs = f"encoder.layers.{i}", f"transformer.resblocks.{i}"
        for kind in ("weight", "bias"):
            tensors[f"{theirs}.attn.in_proj_{kind}"] = torch.cat(
                [state[f"{ours}.self_attn.{letter}_proj.{kind}"] for letter in ("q", "k", "v")]
            )
            for part, stored in (
                ("self_attn.out_proj", "attn.out_proj"),
                ("layer_norm1", "ln_1"),
                ("layer_norm2", "ln_2"),
                ("mlp.fc1", "mlp.c_fc"),
                ("mlp.fc2", "mlp.c_proj"),
            ):
                tensors[f"{theirs}.{stored}.{kind}"] = state[f"{ours}.{part}.{kind}"]
    return tensors


def _schedule() -> Tensors:
    steps = torch.linspace(0, 1, 10)
    names = (
        "betas",
        "alphas_cumprod",
        "alphas_cumprod_prev",
        "sqrt_alphas_cumprod",
        "posterior_variance",
        "logvar",
    )
    return dict.fromkeys(
        (*names, "log_one_minus_alphas_cumprod", "sqrt_recipm1_alphas_cumprod"), steps
    )


def _positions(model: Any) -> torch.Tensor:
    return torch.arange(model.config.max_position_embeddings)[None]


def _sd1(pipeline: Any, *, extras: bool) -> Tensors:
    tensors = _prefixed("cond_stage_model.transformer.", _clip(pipeline.text_encoder))
    if extras:
        tensors |= _schedule()
        tensors["cond_stage_model.transformer.text_model.embeddings.position_ids"] = _positions(
            pipeline.text_encoder
        )
        tensors["model_ema.decay"] = torch.tensor(0.9999)
        tensors["model_ema.diffusion_modelout2bias"] = pipeline.unet.conv_out.bias
        tensors["first_stage_model.loss.logvar"] = torch.tensor(0.0)
    return tensors


def _sd2(pipeline: Any, *, extras: bool) -> Tensors:
    prefix = "cond_stage_model.model."
    tensors = _prefixed(prefix, _open_clip(pipeline.text_encoder))
    if extras:
        layers = pipeline.text_encoder.config.num_hidden_layers
        last = f"{prefix}transformer.resblocks.{layers - 1}."
        # Files hold one layer more than the authors use.
        unused = f"{prefix}transformer.resblocks.{layers}."
        tensors |= {
            unused + name.removeprefix(last): 2 * tensor
            for name, tensor in tensors.items()
            if name.startswith(last)
        }
        tensors[f"{prefix}text_projection"] = torch.ones(
            pipeline.text_encoder.config.hidden_size, 8
        )
        tensors[f"{prefix}logit_scale"] = torch.tensor(4.6)
        tensors |= _schedule()
    return tensors


def _sdxl(pipeline: Any, *, extras: bool) -> Tensors:
    tensors = _prefixed("conditioner.embedders.0.transformer.", _clip(pipeline.text_encoder))
    tensors |= _prefixed("conditioner.embedders.1.model.", _open_clip(pipeline.text_encoder_2))
    if extras:
        tensors["conditioner.embedders.0.transformer.text_model.embeddings.position_ids"] = (
            _positions(pipeline.text_encoder)
        )
        tensors["conditioner.embedders.1.model.logit_scale"] = torch.tensor(4.6)
        tensors["denoiser.sigmas"] = torch.linspace(0, 1, 10)
    return tensors


def _t5(model: Any) -> Tensors:
    return dict(model.state_dict())


def _sd3(pipeline: Any, *, extras: bool) -> Tensors:
    tensors = _prefixed("text_encoders.clip_l.transformer.", _clip(pipeline.text_encoder))
    tensors |= _prefixed("text_encoders.clip_g.transformer.", _clip(pipeline.text_encoder_2))
    if getattr(pipeline, "text_encoder_3", None) is not None:
        tensors |= _prefixed("text_encoders.t5xxl.transformer.", _t5(pipeline.text_encoder_3))
    if extras:
        tensors["text_encoders.clip_l.logit_scale"] = torch.tensor(4.6)
    return tensors


def _flux_text(pipeline: Any, *, extras: bool) -> Tensors:
    tensors = _prefixed("text_encoders.clip_l.transformer.", _clip(pipeline.text_encoder))
    tensors |= _prefixed("text_encoders.t5xxl.transformer.", _t5(pipeline.text_encoder_2))
    if extras:
        tensors["text_encoders.clip_l.logit_scale"] = torch.tensor(4.6)
    return tensors


def _playground(pipeline: Any, *, extras: bool) -> Tensors:
    config = pipeline.vae.config
    return _sdxl(pipeline, extras=extras) | {
        "edm_mean": torch.tensor(config.latents_mean, dtype=torch.float16),
        "edm_std": torch.tensor(config.latents_std, dtype=torch.float16),
    }


_OTHER_COMPONENTS = {
    "sd1": _sd1,
    "sd2": _sd2,
    "sdxl": _sdxl,
    "sd3": _sd3,
    "flux": _flux_text,
    "playground": _playground,
}
