"""Lodestone Rock's checkpoints of Chroma: FLUX.1's names, without a modulation in each block."""

from collections.abc import Iterator
from itertools import chain

from spqr_tests.checkpoint.formats.layouts.autoencoder import Autoencoder
from spqr_tests.checkpoint.formats.layouts.flux import double_stream, mlp, single_stream
from spqr_tests.checkpoint.formats.layouts.table import Entry, Original, Table, module, norm

_GUIDANCE = "distilled_guidance_layer"


class ChromaTransformer(Table):
    """ChromaTransformer2DModel: one small network makes the modulation of all blocks."""

    component = "transformer"
    prefixes = ("model.diffusion_model.", "")

    def entries(self) -> Iterator[Entry]:
        """The tensors, in the order from input to output."""
        width = int(self.config["num_attention_heads"] * self.config["attention_head_dim"])
        yield from chain(
            module("img_in", "x_embedder"),
            module("txt_in", "context_embedder"),
            module("final_layer.linear", "proj_out"),
            module(f"{_GUIDANCE}.in_proj", f"{_GUIDANCE}.in_proj"),
            module(f"{_GUIDANCE}.out_proj", f"{_GUIDANCE}.out_proj"),
        )
        for i in range(self.config["approximator_layers"]):
            layer = f"{_GUIDANCE}.layers.{i}"
            yield from chain(
                module(f"{layer}.in_layer", f"{layer}.linear_1"),
                module(f"{layer}.out_layer", f"{layer}.linear_2"),
                norm(f"{_GUIDANCE}.norms.{i}", f"{_GUIDANCE}.norms.{i}"),
            )
        for i in range(self.config["num_layers"]):
            stored, name = f"double_blocks.{i}", f"transformer_blocks.{i}"
            yield from chain(
                double_stream(stored, name, width),
                mlp(f"{stored}.img_mlp", f"{name}.ff"),
                mlp(f"{stored}.txt_mlp", f"{name}.ff_context"),
            )
        for i in range(self.config["num_single_layers"]):
            yield from single_stream(f"single_blocks.{i}", f"single_transformer_blocks.{i}", width)


ORIGINAL = Original("Chroma checkpoint", (ChromaTransformer, Autoencoder), (), ())
