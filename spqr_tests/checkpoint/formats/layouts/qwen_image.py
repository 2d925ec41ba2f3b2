"""Files of Qwen-Image's transformer: its names are diffusers', alone or behind a prefix."""

from collections.abc import Iterator
from itertools import chain

from spqr_tests.checkpoint.formats.layouts.table import Entry, Original, Table, module

_ATTENTION = (
    *("to_q", "to_k", "to_v", "to_out.0"),
    *("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"),
)
_NORMS = ("norm_q", "norm_k", "norm_added_q", "norm_added_k")
_STREAM = ("mod.1", "mlp.net.0.proj", "mlp.net.2")


class QwenImageTransformer(Table):
    """QwenImageTransformer2DModel of Qwen-Image, without what its successors have besides."""

    component = "transformer"
    prefixes = ("model.diffusion_model.", "")

    def entries(self) -> Iterator[Entry]:
        """The tensors, in the order from input to output."""
        for key in ("guidance_embeds", "use_additional_t_cond"):
            if self.config.get(key):
                raise ValueError(f"{key} {self.config[key]!r}")
        times = "time_text_embed.timestep_embedder"
        for name in (
            *("img_in", "txt_in", f"{times}.linear_1", f"{times}.linear_2"),
            *("norm_out.linear", "proj_out"),
        ):
            yield from module(name, name)
        yield from module("txt_norm", "txt_norm", bias=False)
        for i in range(self.config["num_layers"]):
            block = f"transformer_blocks.{i}"
            layers = (f"{stream}_{part}" for stream in ("img", "txt") for part in _STREAM)
            for name in chain(layers, (f"attn.{part}" for part in _ATTENTION)):
                yield from module(f"{block}.{name}", f"{block}.{name}")
            for part in _NORMS:
                yield from module(f"{block}.attn.{part}", f"{block}.attn.{part}", bias=False)


ORIGINAL = Original("Qwen-Image checkpoint", (QwenImageTransformer,), (), ())
