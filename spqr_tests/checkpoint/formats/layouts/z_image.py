"""Files of Z-Image's transformer in the names of Lumina's code, on which its authors built it."""

from collections.abc import Iterator
from itertools import chain

from spqr_tests.checkpoint.formats.layouts.autoencoder import Autoencoder
from spqr_tests.checkpoint.formats.layouts.table import Entry, Original, Part, Table, fused, module

_NORMS = ("attention_norm1", "attention_norm2", "ffn_norm1", "ffn_norm2")
_MATRICES = ("w1", "w2", "w3")


class ZImageTransformer(Table):
    """ZImageTransformer2DModel, of one size of patches and without pictures as its input."""

    component = "transformer"
    prefixes = ("model.diffusion_model.", "")

    def entries(self) -> Iterator[Entry]:
        """The tensors, in the order from input to output."""
        self._check()
        yield from chain(
            module("x_embedder", "all_x_embedder.2-1"),
            module("t_embedder.mlp.0", "t_embedder.mlp.0"),
            module("t_embedder.mlp.2", "t_embedder.mlp.2"),
            module("cap_embedder.0", "cap_embedder.0", bias=False),
            module("cap_embedder.1", "cap_embedder.1"),
            module("final_layer.linear", "all_final_layer.2-1.linear"),
            module("final_layer.adaLN_modulation.1", "all_final_layer.2-1.adaLN_modulation.1"),
        )
        for token in ("x_pad_token", "cap_pad_token"):
            yield token, (Part(token),)
        for kind in ("noise_refiner", "context_refiner"):
            for i in range(self.config["n_refiner_layers"]):
                yield from self._block(f"{kind}.{i}", modulated=kind == "noise_refiner")
        for i in range(self.config["n_layers"]):
            yield from self._block(f"layers.{i}", modulated=True)

    def spare(self, stored: str) -> bool:
        """A last norm of Lumina's code, which nothing uses."""
        return stored == "norm_final.weight"

    def _check(self) -> None:
        for key, known in (
            ("all_patch_size", [2]),
            ("all_f_patch_size", [1]),
            ("siglip_feat_dim", None),
            ("n_kv_heads", self.config["n_heads"]),
            ("qk_norm", True),
        ):
            value = self.config.get(key, known)
            if (list(value) if isinstance(value, tuple) else value) != known:
                raise ValueError(f"{key} {value!r}")

    def _block(self, block: str, *, modulated: bool) -> Iterator[Entry]:
        attention = f"{block}.attention"
        yield from chain(
            fused(
                f"{attention}.qkv",
                [f"{attention}.to_{letter}" for letter in "qkv"],
                (self.config["dim"],) * 3,
                bias=False,
            ),
            module(f"{attention}.out", f"{attention}.to_out.0", bias=False),
            module(f"{attention}.q_norm", f"{attention}.norm_q", bias=False),
            module(f"{attention}.k_norm", f"{attention}.norm_k", bias=False),
        )
        for name in (*_NORMS, *(f"feed_forward.{matrix}" for matrix in _MATRICES)):
            yield from module(f"{block}.{name}", f"{block}.{name}", bias=False)
        if modulated:
            yield from module(f"{block}.adaLN_modulation.0", f"{block}.adaLN_modulation.0")


ORIGINAL = Original("Z-Image checkpoint", (ZImageTransformer, Autoencoder), (), ())
