"""Transformers of the families that are read from folders, in their authors' names.

Each table renames a model's tensors step by step, as `re.sub` does, and shares nothing with the
tables under test. `#1` is a tensor's place among those that a file stacks; `~` says that its two
halves are in reverse order.
"""

import re
from collections.abc import Sequence
from typing import Any

import torch

from tests.checkpoint.tiny_pipelines import Tensors

Rules = Sequence[tuple[str, str]]

_STREAMS: Rules = (
    (r"^transformer_blocks", "double_blocks"),
    (r"^single_transformer_blocks", "single_blocks"),
    (r"(double.*)attn\.to_q", r"\1img_attn.qkv#0"),
    (r"(double.*)attn\.to_k", r"\1img_attn.qkv#1"),
    (r"(double.*)attn\.to_v", r"\1img_attn.qkv#2"),
    (r"(double.*)attn\.add_q_proj", r"\1txt_attn.qkv#0"),
    (r"(double.*)attn\.add_k_proj", r"\1txt_attn.qkv#1"),
    (r"(double.*)attn\.add_v_proj", r"\1txt_attn.qkv#2"),
    (r"attn\.to_out\.0", "img_attn.proj"),
    (r"attn\.to_add_out", "txt_attn.proj"),
    (r"(double.*)attn\.norm_q\.weight", r"\1img_attn.norm.query_norm.scale"),
    (r"(double.*)attn\.norm_k\.weight", r"\1img_attn.norm.key_norm.scale"),
    (r"(double.*)attn\.norm_added_q\.weight", r"\1txt_attn.norm.query_norm.scale"),
    (r"(double.*)attn\.norm_added_k\.weight", r"\1txt_attn.norm.key_norm.scale"),
    (r"(single.*)attn\.norm_q\.weight", r"\1norm.query_norm.scale"),
    (r"(single.*)attn\.norm_k\.weight", r"\1norm.key_norm.scale"),
    (r"^x_embedder", "img_in"),
    (r"^context_embedder", "txt_in"),
    (r"^proj_out", "final_layer.linear"),
)
_RULES: dict[str, Rules] = {
    "flux-2-klein": (
        *_STREAMS,
        (r"^time_guidance_embed\.timestep_embedder\.linear_1", "time_in.in_layer"),
        (r"^time_guidance_embed\.timestep_embedder\.linear_2", "time_in.out_layer"),
        (r"^time_guidance_embed\.guidance_embedder\.linear_1", "guidance_in.in_layer"),
        (r"^time_guidance_embed\.guidance_embedder\.linear_2", "guidance_in.out_layer"),
        (r"(_modulation(?:_img|_txt)?)\.linear", r"\1.lin"),
        (r"ff\.linear_in", "img_mlp.0"),
        (r"ff\.linear_out", "img_mlp.2"),
        (r"ff_context\.linear_in", "txt_mlp.0"),
        (r"ff_context\.linear_out", "txt_mlp.2"),
        (r"attn\.to_qkv_mlp_proj", "linear1"),
        (r"(single.*)attn\.to_out", r"\1linear2"),
        (r"^norm_out\.linear", "final_layer.adaLN_modulation.1~"),
    ),
    "chroma": (
        *_STREAMS,
        (r"(layers\.\d+)\.linear_1", r"\1.in_layer"),
        (r"(layers\.\d+)\.linear_2", r"\1.out_layer"),
        (r"(norms\.\d+)\.weight", r"\1.scale"),
        (r"ff\.net\.0\.proj", "img_mlp.0"),
        (r"ff\.net\.2", "img_mlp.2"),
        (r"ff_context\.net\.0\.proj", "txt_mlp.0"),
        (r"ff_context\.net\.2", "txt_mlp.2"),
        (r"(single.*)attn\.to_q", r"\1linear1#0"),
        (r"(single.*)attn\.to_k", r"\1linear1#1"),
        (r"(single.*)attn\.to_v", r"\1linear1#2"),
        (r"(single.*)proj_mlp", r"\1linear1#3"),
        (r"(single.*)proj_out", r"\1linear2"),
    ),
    "z-image": (
        (r"all_(x_embedder|final_layer)\.2-1", r"\1"),
        (r"to_q", "qkv#0"),
        (r"to_k", "qkv#1"),
        (r"to_v", "qkv#2"),
        (r"to_out\.0", "out"),
        (r"norm_q", "q_norm"),
        (r"norm_k", "k_norm"),
    ),
    "lumina-2": (
        (r"attn", "attention"),
        (r"to_q", "qkv#0"),
        (r"to_k", "qkv#1"),
        (r"to_v", "qkv#2"),
        (r"to_out\.0", "out"),
        (r"norm_q", "q_norm"),
        (r"norm_k", "k_norm"),
        (r"norm1\.linear", "adaLN_modulation.1"),
        (r"\.norm1(?:\.norm)?", ".attention_norm1"),
        (r"\.norm2", ".attention_norm2"),
        (r"(feed_forward)\.linear_", r"\1.w"),
        (r"time_caption_embed\.caption_embedder", "cap_embedder"),
        (r"time_caption_embed\.timestep_embedder\.linear_1", "t_embedder.mlp.0"),
        (r"time_caption_embed\.timestep_embedder\.linear_2", "t_embedder.mlp.2"),
        (r"norm_out\.linear_1", "final_layer.adaLN_modulation.1"),
        (r"norm_out\.linear_2", "final_layer.linear"),
    ),
    "sana": (
        (r"^transformer_blocks", "blocks"),
        (r"attn1\.to_q", "attn.qkv#0"),
        (r"attn1\.to_k", "attn.qkv#1"),
        (r"attn1\.to_v", "attn.qkv#2"),
        (r"attn1\.to_out\.0", "attn.proj"),
        (r"attn2\.to_q", "cross_attn.q_linear"),
        (r"attn2\.to_k", "cross_attn.kv_linear#0"),
        (r"attn2\.to_v", "cross_attn.kv_linear#1"),
        (r"attn2\.to_out\.0", "cross_attn.proj"),
        (r"ff\.conv_inverted", "mlp.inverted_conv.conv"),
        (r"ff\.conv_depth", "mlp.depth_conv.conv"),
        (r"ff\.conv_point", "mlp.point_conv.conv"),
        (r"^patch_embed", "x_embedder"),
        (r"^time_embed\.emb\.timestep_embedder\.linear_1", "t_embedder.mlp.0"),
        (r"^time_embed\.emb\.timestep_embedder\.linear_2", "t_embedder.mlp.2"),
        (r"^time_embed\.linear", "t_block.1"),
        (r"^caption_projection\.linear_", "y_embedder.y_proj.fc"),
        (r"^caption_norm", "attention_y_norm"),
        (r"^proj_out", "final_layer.linear"),
        (r"^scale_shift_table", "final_layer.scale_shift_table"),
    ),
    "auraflow": (
        (r"^joint_transformer_blocks", "double_layers"),
        (r"^single_transformer_blocks", "single_layers"),
        (r"(double.*)to_(?:out\.0)", r"\1w2o"),
        (r"(single.*)to_(?:out\.0)", r"\1w1o"),
        (r"(double.*)attn\.to_([qkv])", r"\1attn.w2\2"),
        (r"(single.*)attn\.to_([qkv])", r"\1attn.w1\2"),
        (r"add_([qkv])_proj", r"w1\1"),
        (r"to_add_out", "w1o"),
        (r"(double.*)ff\.", r"\1mlpX."),
        (r"(single.*)ff\.", r"\1mlp."),
        (r"ff_context\.", "mlpC."),
        (r"(layers.*)linear_([12])", r"\1c_fc\2"),
        (r"out_projection", "c_proj"),
        (r"(double.*)norm1\.linear", r"\1modX.1"),
        (r"(single.*)norm1\.linear", r"\1modCX.1"),
        (r"norm1_context\.linear", "modC.1"),
        (r"^time_step_proj\.linear_1", "t_embedder.mlp.0"),
        (r"^time_step_proj\.linear_2", "t_embedder.mlp.2"),
        (r"^context_embedder", "cond_seq_linear"),
        (r"^proj_out", "final_linear"),
        (r"^norm_out\.linear", "modF.1~"),
        (r"^pos_embed\.pos_embed", "positional_encoding"),
        (r"^pos_embed\.proj", "init_x_linear"),
    ),
    "qwen-image": (),
}
_SPARE = {
    "z-image": {"norm_final.weight": (4,)},
    "lumina-2": {"norm_final.weight": (4,)},
    "sana": {"pos_embed": (1, 4, 4), "y_embedder.y_embedding": (300, 4)},
}
"""Tensors that published files hold and no model needs."""
NAMES = tuple(_RULES)


def transformer(name: str, model: Any) -> Tensors:
    """The tensors of a family's transformer in a file of its authors."""
    stacked: dict[str, dict[int, torch.Tensor]] = {}
    for own, tensor in model.state_dict().items():
        renamed = own
        for pattern, replacement in _RULES[name]:
            renamed = re.sub(pattern, replacement, renamed)
        if "~" in renamed:
            scale, shift = tensor.chunk(2)
            tensor = torch.cat([shift, scale])  # noqa: PLW2901  # it takes the tensor's place
        place = re.search(r"#(\d)", renamed)
        key = re.sub(r"#\d|~", "", renamed)
        assert int(place[1]) not in stacked.get(key, {}) if place else key not in stacked
        stacked.setdefault(key, {})[int(place[1]) if place else 0] = tensor
    tensors = {
        key: torch.cat([parts[number] for number in sorted(parts)])
        for key, parts in stacked.items()
    }
    spare = {key: torch.ones(shape) for key, shape in _SPARE.get(name, {}).items()}
    return {key: one.detach().clone().contiguous() for key, one in (tensors | spare).items()}
