"""Text encoders in single files: CLIP and T5 with transformers' names, CLIP with open_clip's."""

import re
from collections.abc import Iterator
from itertools import chain

from spqr_tests.checkpoint.formats.layouts.table import Entry, Part, Place, Table, fused, module

_RESBLOCK = re.compile(r"transformer\.resblocks\.(\d+)\..*")


class Clip(Table):
    """transformers' names with `text_model.`, which our names and some old files lack."""

    projected = False
    """Whether the model is a CLIPTextModelWithProjection."""

    def entries(self) -> Iterator[Entry]:
        """The names are ours, except for the prefix."""
        for name in ("embeddings.token_embedding", "embeddings.position_embedding"):
            yield from module(f"text_model.{name}", name, bias=False)
        for i in range(self.config["num_hidden_layers"]):
            for part in (
                *("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj"),
                *("layer_norm1", "layer_norm2", "mlp.fc1", "mlp.fc2"),
            ):
                name = f"encoder.layers.{i}.{part}"
                yield from module(f"text_model.{name}", name)
        yield from module("text_model.final_layer_norm", "final_layer_norm")
        if self.projected:
            yield from module("text_projection", "text_projection", bias=False)

    def places(self, stored: str, shape: tuple[int, ...]) -> tuple[Place, ...] | None:
        """The places of a name with or without `text_model.`."""
        known = super().places(stored, shape)
        return known if known is not None else super().places(f"text_model.{stored}", shape)

    def spare(self, stored: str) -> bool:
        """The projection of the pooled output, if the model does not compute it."""
        return not self.projected and stored == "text_projection.weight"


class ProjectedClip(Clip):
    """With a projection of the pooled output."""

    projected = True


class OpenClip(Table):
    """open_clip's names: query, key and value in one tensor, and the projection transposed."""

    projected = False

    def entries(self) -> Iterator[Entry]:
        """The names in open_clip's TextTransformer."""
        width = self.config["hidden_size"]
        yield from module("token_embedding", "embeddings.token_embedding", bias=False)
        yield "positional_embedding", (Part("embeddings.position_embedding.weight"),)
        for i in range(self.config["num_hidden_layers"]):
            stored, name = f"transformer.resblocks.{i}", f"encoder.layers.{i}"
            projections = [f"{name}.self_attn.{letter}_proj" for letter in "qkv"]
            yield from chain(
                module(f"{stored}.ln_1", f"{name}.layer_norm1"),
                module(f"{stored}.ln_2", f"{name}.layer_norm2"),
                fused(f"{stored}.attn.in_proj", projections, (width,) * 3, join="_"),
                module(f"{stored}.attn.out_proj", f"{name}.self_attn.out_proj"),
                module(f"{stored}.mlp.c_fc", f"{name}.mlp.fc1"),
                module(f"{stored}.mlp.c_proj", f"{name}.mlp.fc2"),
            )
        yield from module("ln_final", "final_layer_norm")
        if self.projected:
            yield "text_projection", (Part("text_projection.weight", transposed=True),)

    def spare(self, stored: str) -> bool:
        """Without projection: the projection itself, and the layers after the last one in use.

        Stable Diffusion 2 uses the last layer but one.
        """
        if self.projected:
            return False
        layer = _RESBLOCK.fullmatch(stored)
        return stored == "text_projection" or (
            layer is not None and int(layer[1]) >= self.config["num_hidden_layers"]
        )


class ProjectedOpenClip(OpenClip):
    """With a projection of the pooled output."""

    projected = True


class T5(Table):
    """transformers' names, which are also ours."""

    def entries(self) -> Iterator[Entry]:
        """The encoder of T5 v1.1."""
        yield from module("shared", "shared", bias=False)
        gated = str(self.config.get("feed_forward_proj", "relu")).startswith("gated-")
        for i in range(self.config["num_layers"]):
            block = f"encoder.block.{i}"
            attention = [f"SelfAttention.{letter}" for letter in "qkvo"]
            if i == 0:
                attention.append("SelfAttention.relative_attention_bias")
            inner = ("wi_0", "wi_1") if gated else ("wi",)
            for part in (
                *(f"layer.0.{name}" for name in (*attention, "layer_norm")),
                *(
                    f"layer.1.{name}"
                    for name in (
                        *(f"DenseReluDense.{name}" for name in (*inner, "wo")),
                        "layer_norm",
                    )
                ),
            ):
                yield from module(f"{block}.{part}", f"{block}.{part}", bias=False)
        yield from module("encoder.final_layer_norm", "encoder.final_layer_norm", bias=False)

    def spare(self, stored: str) -> bool:
        """The input embedding, which is tied to `shared`."""
        return stored == "encoder.embed_tokens.weight"
