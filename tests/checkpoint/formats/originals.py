"""Pipelines in their authors' own layout.

Written from the modules of the model at hand, and not from configs, so that it shares nothing with
the tables under test.
"""

from collections.abc import Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any

import torch

from spqr_tests.checkpoint.formats.layouts import flux, stable_diffusion, stable_diffusion_3
from spqr_tests.checkpoint.formats.layouts.table import Preset

Tensors = dict[str, torch.Tensor]
LAYOUTS = {
    "sd1": stable_diffusion.ORIGINAL,
    "sd2": stable_diffusion.ORIGINAL,
    "sdxl": stable_diffusion.ORIGINAL_XL,
    "sd3": stable_diffusion_3.ORIGINAL,
    "flux": flux.ORIGINAL,
}
"""What the tables of each backbone are found in."""
COMPONENTS = ("unet", "transformer", "vae", "text_encoder", "text_encoder_2", "text_encoder_3")
_QKV = (("to_q", "to_k", "to_v"), ("add_q_proj", "add_k_proj", "add_v_proj"))


def original(
    pipeline: Any,
    name: str,
    *,
    denoiser_only: bool = False,
    bare: bool = False,
    extras: bool = True,
) -> Tensors:
    """All tensors of a file that a backbone's ('sd1', 'sd2', 'sdxl', 'sd3', 'flux') authors would ship.

    Or the denoiser's alone; `bare`, without the prefix that it has among the others. `extras` are
    what such files hold besides.
    """
    denoiser = {"sd3": _mmdit, "flux": _flux}.get(name, _unet)(
        pipeline.transformer if name in {"sd3", "flux"} else pipeline.unet
    )
    tensors = _prefixed("" if bare else "model.diffusion_model.", denoiser)
    if not denoiser_only:
        tensors |= _prefixed("first_stage_model.", autoencoder(pipeline.vae))
        tensors |= {"sd1": _sd1, "sd2": _sd2, "sdxl": _sdxl, "sd3": _sd3, "flux": _flux_text}[name](
            pipeline, extras=extras
        )
    return {key: tensor.detach().clone().contiguous() for key, tensor in tensors.items()}


def presets() -> Iterator[tuple[str, Preset]]:
    """Every published architecture and its backbone."""
    for name, layout in LAYOUTS.items():
        for preset in layout.presets:
            if (name == "sd2") == preset.name.startswith("sd2"):
                yield name, preset


@cache
def weightless(published: str) -> Any:
    """A published pipeline's models at full size, without memory for their weights; `published` is its preset's name."""
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
        # The layer that its authors do not use.
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


def _linear(stored: str, module: Any) -> Iterator[tuple[str, torch.Tensor]]:
    for kind, tensor in module.state_dict().items():
        yield f"{stored}.{kind}", tensor


def _stacked(stored: str, modules: list[Any]) -> Iterator[tuple[str, torch.Tensor]]:
    for kind in ("weight", "bias"):
        yield f"{stored}.{kind}", torch.cat([getattr(module, kind) for module in modules])


def _shift_first(stored: str, module: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Diffusers has scale before shift, the authors have shift before scale."""
    for kind in ("weight", "bias"):
        scale, shift = getattr(module, kind).chunk(2)
        yield f"{stored}.{kind}", torch.cat([shift, scale])


def _embedders(
    parts: dict[str, Any], first: str, second: str
) -> Iterator[tuple[str, torch.Tensor]]:
    for stored, embedder in parts.items():
        yield from _linear(f"{stored}.{first}", embedder.linear_1)
        yield from _linear(f"{stored}.{second}", embedder.linear_2)


def _attention(attention: Any, names: tuple[str, ...]) -> list[Any]:
    return [getattr(attention, name) for name in names]


def _mmdit(transformer: Any) -> Tensors:
    def entries() -> Iterator[tuple[str, torch.Tensor]]:
        yield "pos_embed", transformer.pos_embed.pos_embed
        yield from _linear("x_embedder.proj", transformer.pos_embed.proj)
        times = transformer.time_text_embed
        yield from _embedders(
            {"t_embedder": times.timestep_embedder, "y_embedder": times.text_embedder},
            "mlp.0",
            "mlp.2",
        )
        yield from _linear("context_embedder", transformer.context_embedder)
        for i, block in enumerate(transformer.transformer_blocks):
            image, text = f"joint_blocks.{i}.x_block", f"joint_blocks.{i}.context_block"
            yield from _joint(image, text, block, last=block is transformer.transformer_blocks[-1])
        yield from _linear("final_layer.linear", transformer.proj_out)
        yield from _shift_first("final_layer.adaLN_modulation.1", transformer.norm_out.linear)

    return dict(entries())


def _joint(image: str, text: str, block: Any, *, last: bool) -> Iterator[tuple[str, torch.Tensor]]:
    attention = block.attn
    yield from _stacked(f"{image}.attn.qkv", _attention(attention, _QKV[0]))
    yield from _stacked(f"{text}.attn.qkv", _attention(attention, _QKV[1]))
    yield from _linear(f"{image}.attn.proj", attention.to_out[0])
    if attention.norm_q is not None:
        yield f"{image}.attn.ln_q.weight", attention.norm_q.weight
        yield f"{image}.attn.ln_k.weight", attention.norm_k.weight
        yield f"{text}.attn.ln_q.weight", attention.norm_added_q.weight
        yield f"{text}.attn.ln_k.weight", attention.norm_added_k.weight
    if block.attn2 is not None:
        yield from _stacked(f"{image}.attn2.qkv", _attention(block.attn2, _QKV[0]))
        yield from _linear(f"{image}.attn2.proj", block.attn2.to_out[0])
        if block.attn2.norm_q is not None:
            yield f"{image}.attn2.ln_q.weight", block.attn2.norm_q.weight
            yield f"{image}.attn2.ln_k.weight", block.attn2.norm_k.weight
    yield from _linear(f"{image}.adaLN_modulation.1", block.norm1.linear)
    yield from _linear(f"{image}.mlp.fc1", block.ff.net[0].proj)
    yield from _linear(f"{image}.mlp.fc2", block.ff.net[2])
    if last:
        yield from _shift_first(f"{text}.adaLN_modulation.1", block.norm1_context.linear)
        return
    yield from _linear(f"{text}.adaLN_modulation.1", block.norm1_context.linear)
    yield from _linear(f"{text}.attn.proj", attention.to_add_out)
    yield from _linear(f"{text}.mlp.fc1", block.ff_context.net[0].proj)
    yield from _linear(f"{text}.mlp.fc2", block.ff_context.net[2])


def _flux(transformer: Any) -> Tensors:
    def entries() -> Iterator[tuple[str, torch.Tensor]]:
        yield from _linear("img_in", transformer.x_embedder)
        yield from _linear("txt_in", transformer.context_embedder)
        times = transformer.time_text_embed
        embedders = {"time_in": times.timestep_embedder, "vector_in": times.text_embedder}
        if hasattr(times, "guidance_embedder"):
            embedders["guidance_in"] = times.guidance_embedder
        yield from _embedders(embedders, "in_layer", "out_layer")
        for i, block in enumerate(transformer.transformer_blocks):
            yield from _double(f"double_blocks.{i}", block)
        for i, block in enumerate(transformer.single_transformer_blocks):
            attention = block.attn
            yield from _linear(f"single_blocks.{i}.modulation.lin", block.norm.linear)
            yield from _stacked(
                f"single_blocks.{i}.linear1", [*_attention(attention, _QKV[0]), block.proj_mlp]
            )
            yield from _linear(f"single_blocks.{i}.linear2", block.proj_out)
            yield f"single_blocks.{i}.norm.query_norm.scale", attention.norm_q.weight
            yield f"single_blocks.{i}.norm.key_norm.scale", attention.norm_k.weight
        yield from _linear("final_layer.linear", transformer.proj_out)
        yield from _shift_first("final_layer.adaLN_modulation.1", transformer.norm_out.linear)

    return dict(entries())


def _double(stored: str, block: Any) -> Iterator[tuple[str, torch.Tensor]]:
    attention = block.attn
    for stream, names, out, norms, modulation, feed in (
        (
            "img",
            _QKV[0],
            attention.to_out[0],
            (attention.norm_q, attention.norm_k),
            block.norm1,
            block.ff,
        ),
        (
            "txt",
            _QKV[1],
            attention.to_add_out,
            (attention.norm_added_q, attention.norm_added_k),
            block.norm1_context,
            block.ff_context,
        ),
    ):
        yield from _linear(f"{stored}.{stream}_mod.lin", modulation.linear)
        yield from _stacked(f"{stored}.{stream}_attn.qkv", _attention(attention, names))
        yield f"{stored}.{stream}_attn.norm.query_norm.scale", norms[0].weight
        yield f"{stored}.{stream}_attn.norm.key_norm.scale", norms[1].weight
        yield from _linear(f"{stored}.{stream}_attn.proj", out)
        yield from _linear(f"{stored}.{stream}_mlp.0", feed.net[0].proj)
        yield from _linear(f"{stored}.{stream}_mlp.2", feed.net[2])
