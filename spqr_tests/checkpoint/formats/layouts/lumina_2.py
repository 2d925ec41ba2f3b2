"""Alpha-VLLM's checkpoints of Lumina-Image 2.0."""

from collections.abc import Iterator
from itertools import chain

from spqr_tests.checkpoint.formats.layouts.autoencoder import Autoencoder
from spqr_tests.checkpoint.formats.layouts.table import Entry, Original, Table, fused, module


class Lumina2Transformer(Table):
    """Lumina2Transformer2DModel: fewer heads of keys and values than of queries."""

    component = "transformer"
    prefixes = ("model.diffusion_model.", "")

    def entries(self) -> Iterator[Entry]:
        """The tensors, in the order from input to output."""
        times, text = "time_caption_embed.timestep_embedder", "time_caption_embed.caption_embedder"
        yield from chain(
            module("x_embedder", "x_embedder"),
            module("t_embedder.mlp.0", f"{times}.linear_1"),
            module("t_embedder.mlp.2", f"{times}.linear_2"),
            module("cap_embedder.0", f"{text}.0", bias=False),
            module("cap_embedder.1", f"{text}.1"),
            module("final_layer.adaLN_modulation.1", "norm_out.linear_1"),
            module("final_layer.linear", "norm_out.linear_2"),
        )
        for kind in ("noise_refiner", "context_refiner"):
            for i in range(self.config["num_refiner_layers"]):
                yield from self._block(f"{kind}.{i}", modulated=kind == "noise_refiner")
        for i in range(self.config["num_layers"]):
            yield from self._block(f"layers.{i}", modulated=True)

    def spare(self, stored: str) -> bool:
        """A last norm, which nothing uses."""
        return stored == "norm_final.weight"

    def _block(self, block: str, *, modulated: bool) -> Iterator[Entry]:
        head = self.config["hidden_size"] // self.config["num_attention_heads"]
        heads = (self.config["num_attention_heads"], *(self.config["num_kv_heads"],) * 2)
        stored, name = f"{block}.attention", f"{block}.attn"
        yield from chain(
            fused(
                f"{stored}.qkv",
                [f"{name}.to_{letter}" for letter in "qkv"],
                [head * count for count in heads],
                bias=False,
            ),
            module(f"{stored}.out", f"{name}.to_out.0", bias=False),
            module(f"{stored}.q_norm", f"{name}.norm_q", bias=False),
            module(f"{stored}.k_norm", f"{name}.norm_k", bias=False),
            module(
                f"{block}.attention_norm1",
                f"{block}.norm1.norm" if modulated else f"{block}.norm1",
                bias=False,
            ),
            module(f"{block}.attention_norm2", f"{block}.norm2", bias=False),
        )
        for number in (1, 2):
            yield from module(f"{block}.ffn_norm{number}", f"{block}.ffn_norm{number}", bias=False)
        for number in (1, 2, 3):
            matrix = f"{block}.feed_forward"
            yield from module(f"{matrix}.w{number}", f"{matrix}.linear_{number}", bias=False)
        if modulated:
            yield from module(f"{block}.adaLN_modulation.1", f"{block}.norm1.linear")


ORIGINAL = Original("Lumina 2 checkpoint", (Lumina2Transformer, Autoencoder), (), ())
