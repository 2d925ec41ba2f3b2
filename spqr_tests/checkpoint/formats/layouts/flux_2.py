"""Black Forest Labs' checkpoints of FLUX.2."""

from collections.abc import Iterator
from itertools import chain

from spqr_tests.checkpoint.formats.layouts.flux import double_stream, norms
from spqr_tests.checkpoint.formats.layouts.table import Entry, Original, Table, module, swapped

_PLAIN = (
    ("img_in", "x_embedder"),
    ("txt_in", "context_embedder"),
    ("final_layer.linear", "proj_out"),
    ("double_stream_modulation_img.lin", "double_stream_modulation_img.linear"),
    ("double_stream_modulation_txt.lin", "double_stream_modulation_txt.linear"),
    ("single_stream_modulation.lin", "single_stream_modulation.linear"),
)


class Flux2Transformer(Table):
    """Flux2Transformer2DModel: all blocks of a kind share a modulation, and no layer has a bias."""

    component = "transformer"
    prefixes = ("model.diffusion_model.", "")

    def entries(self) -> Iterator[Entry]:
        """The tensors, in the order from input to output."""
        width = int(self.config["num_attention_heads"] * self.config["attention_head_dim"])
        for stored, name in _PLAIN:
            yield from module(stored, name, bias=False)
        yield from swapped("final_layer.adaLN_modulation.1", "norm_out.linear", width, bias=False)
        embedders = [("time_in", "timestep_embedder")]
        # diffusers' default, unlike FLUX.1's.
        if self.config.get("guidance_embeds", True):
            embedders.append(("guidance_in", "guidance_embedder"))
        for stored, embedder in embedders:
            for layer, number in (("in_layer", 1), ("out_layer", 2)):
                name = f"time_guidance_embed.{embedder}.linear_{number}"
                yield from module(f"{stored}.{layer}", name, bias=False)
        for i in range(self.config["num_layers"]):
            stored, name = f"double_blocks.{i}", f"transformer_blocks.{i}"
            yield from double_stream(stored, name, width, bias=False)
            for stream, context in (("img", ""), ("txt", "_context")):
                for number, layer in ((0, "linear_in"), (2, "linear_out")):
                    yield from module(
                        f"{stored}.{stream}_mlp.{number}", f"{name}.ff{context}.{layer}", bias=False
                    )
        for i in range(self.config["num_single_layers"]):
            stored, name = f"single_blocks.{i}", f"single_transformer_blocks.{i}.attn"
            yield from chain(
                module(f"{stored}.linear1", f"{name}.to_qkv_mlp_proj", bias=False),
                module(f"{stored}.linear2", f"{name}.to_out", bias=False),
                norms(f"{stored}.norm", f"{name}.norm"),
            )


ORIGINAL = Original("FLUX.2 checkpoint", (Flux2Transformer,), (), ())
