"""fal's checkpoints of AuraFlow."""

from collections.abc import Iterator
from itertools import chain

from spqr_tests.checkpoint.formats.layouts.autoencoder import Autoencoder
from spqr_tests.checkpoint.formats.layouts.table import (
    Entry,
    Original,
    Part,
    Table,
    module,
    swapped,
)

# The image's and the text's attention in a block with two streams; the one in a block with one.
_IMAGE = (("w2q", "to_q"), ("w2k", "to_k"), ("w2v", "to_v"), ("w2o", "to_out.0"))
_TEXT = (("w1q", "add_q_proj"), ("w1k", "add_k_proj"), ("w1v", "add_v_proj"), ("w1o", "to_add_out"))
_SINGLE = (("w1q", "to_q"), ("w1k", "to_k"), ("w1v", "to_v"), ("w1o", "to_out.0"))
_MLP = (("c_fc1", "linear_1"), ("c_fc2", "linear_2"), ("c_proj", "out_projection"))


class AuraFlowTransformer(Table):
    """AuraFlowTransformer2DModel: blocks with two streams, then blocks with one."""

    component = "transformer"
    prefixes = ("model.diffusion_model.", "model.", "")

    def entries(self) -> Iterator[Entry]:
        """The tensors, in the order from input to output."""
        width = int(self.config["num_attention_heads"] * self.config["attention_head_dim"])
        yield "positional_encoding", (Part("pos_embed.pos_embed"),)
        yield "register_tokens", (Part("register_tokens"),)
        yield from chain(
            module("init_x_linear", "pos_embed.proj"),
            module("t_embedder.mlp.0", "time_step_proj.linear_1"),
            module("t_embedder.mlp.2", "time_step_proj.linear_2"),
            module("cond_seq_linear", "context_embedder", bias=False),
            module("final_linear", "proj_out", bias=False),
            swapped("modF.1", "norm_out.linear", width, bias=False),
        )
        for i in range(self.config["num_mmdit_layers"]):
            stored, name = f"double_layers.{i}", f"joint_transformer_blocks.{i}"
            yield from chain(
                _all(f"{stored}.attn", f"{name}.attn", (*_IMAGE, *_TEXT)),
                _all(f"{stored}.mlpX", f"{name}.ff", _MLP),
                _all(f"{stored}.mlpC", f"{name}.ff_context", _MLP),
                module(f"{stored}.modX.1", f"{name}.norm1.linear", bias=False),
                module(f"{stored}.modC.1", f"{name}.norm1_context.linear", bias=False),
            )
        for i in range(self.config["num_single_dit_layers"]):
            stored, name = f"single_layers.{i}", f"single_transformer_blocks.{i}"
            yield from chain(
                _all(f"{stored}.attn", f"{name}.attn", _SINGLE),
                _all(f"{stored}.mlp", f"{name}.ff", _MLP),
                module(f"{stored}.modCX.1", f"{name}.norm1.linear", bias=False),
            )


def _all(stored: str, name: str, pairs: tuple[tuple[str, str], ...]) -> Iterator[Entry]:
    for own, our in pairs:
        yield from module(f"{stored}.{own}", f"{name}.{our}", bias=False)


ORIGINAL = Original("checkpoint of AuraFlow", (AuraFlowTransformer, Autoencoder), (), ())
