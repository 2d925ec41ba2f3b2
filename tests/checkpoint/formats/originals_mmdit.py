"""SD3's and FLUX's transformers in their authors' names."""

from collections.abc import Iterator
from typing import Any

import torch

from tests.checkpoint.tiny_pipelines import Tensors

_QKV = (("to_q", "to_k", "to_v"), ("add_q_proj", "add_k_proj", "add_v_proj"))


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


def mmdit(transformer: Any) -> Tensors:
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


def flux(transformer: Any) -> Tensors:
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
