"""NVIDIA's checkpoints of Sana."""

from collections.abc import Iterator
from itertools import chain

from spqr_tests.checkpoint.formats.layouts.table import Entry, Original, Part, Table, fused, module

_PLAIN = (
    ("x_embedder.proj", "patch_embed.proj"),
    ("t_embedder.mlp.0", "time_embed.emb.timestep_embedder.linear_1"),
    ("t_embedder.mlp.2", "time_embed.emb.timestep_embedder.linear_2"),
    ("t_block.1", "time_embed.linear"),
    ("y_embedder.y_proj.fc1", "caption_projection.linear_1"),
    ("y_embedder.y_proj.fc2", "caption_projection.linear_2"),
    ("final_layer.linear", "proj_out"),
)


class SanaTransformer(Table):
    """SanaTransformer2DModel without norms of queries and keys, which Sana 1.5 has.

    diffusers' converter leaves these norms out.
    """

    component = "transformer"
    prefixes = ("model.diffusion_model.", "")

    def entries(self) -> Iterator[Entry]:
        """The tensors, in the order from input to output."""
        for key in ("qk_norm", "guidance_embeds", "attention_bias"):
            if self.config.get(key):
                raise ValueError(f"{key} {self.config[key]!r}")
        for stored, name in _PLAIN:
            yield from module(stored, name)
        yield from module("attention_y_norm", "caption_norm", bias=False)
        yield "final_layer.scale_shift_table", (Part("scale_shift_table"),)
        for i in range(self.config["num_layers"]):
            yield from self._block(f"blocks.{i}", f"transformer_blocks.{i}")

    def spare(self, stored: str) -> bool:
        """Positions, which no Sana uses, and the text for training without one."""
        return stored in {"pos_embed", "y_embedder.y_embedding"}

    def _block(self, stored: str, name: str) -> Iterator[Entry]:
        own = self.config["num_attention_heads"] * self.config["attention_head_dim"]
        crossed = self.config["num_cross_attention_heads"] * self.config["cross_attention_head_dim"]
        yield f"{stored}.scale_shift_table", (Part(f"{name}.scale_shift_table"),)
        yield from chain(
            fused(
                f"{stored}.attn.qkv",
                [f"{name}.attn1.to_{letter}" for letter in "qkv"],
                (own,) * 3,
                bias=False,
            ),
            module(f"{stored}.attn.proj", f"{name}.attn1.to_out.0"),
            module(f"{stored}.cross_attn.q_linear", f"{name}.attn2.to_q"),
            fused(
                f"{stored}.cross_attn.kv_linear",
                [f"{name}.attn2.to_{letter}" for letter in "kv"],
                (crossed,) * 2,
            ),
            module(f"{stored}.cross_attn.proj", f"{name}.attn2.to_out.0"),
            module(f"{stored}.mlp.inverted_conv.conv", f"{name}.ff.conv_inverted"),
            module(f"{stored}.mlp.depth_conv.conv", f"{name}.ff.conv_depth"),
            module(f"{stored}.mlp.point_conv.conv", f"{name}.ff.conv_point", bias=False),
        )


ORIGINAL = Original("Sana checkpoint", (SanaTransformer,), (), ())
