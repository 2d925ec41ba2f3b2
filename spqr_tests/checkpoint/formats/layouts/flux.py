"""Black Forest Labs' checkpoints of FLUX.1."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from spqr_tests.checkpoint.formats.layouts.autoencoder import Autoencoder
from spqr_tests.checkpoint.formats.layouts.stable_diffusion import END, UNUSED, autoencoder, clip
from spqr_tests.checkpoint.formats.layouts.stable_diffusion_3 import t5
from spqr_tests.checkpoint.formats.layouts.table import (
    Entry,
    Original,
    Preset,
    Table,
    fused,
    module,
    norm,
    swapped,
)
from spqr_tests.checkpoint.formats.layouts.text import T5, Clip

_MLP_RATIO = 4


class FluxTransformer(Table):
    """FluxTransformer2DModel: blocks with two streams, then blocks with one.

    The first matrix of a block with one stream makes query, key, value and the MLP's hidden layer.
    """

    component = "transformer"
    prefixes = ("model.diffusion_model.", "")

    def entries(self) -> Iterator[Entry]:
        """The tensors, in the order from input to output."""
        yield from chain(
            module("img_in", "x_embedder"),
            module("txt_in", "context_embedder"),
            module("final_layer.linear", "proj_out"),
            swapped("final_layer.adaLN_modulation.1", "norm_out.linear", self._width()),
        )
        embedders = [("time_in", "timestep_embedder"), ("vector_in", "text_embedder")]
        if self.config.get("guidance_embeds", False):
            embedders.append(("guidance_in", "guidance_embedder"))
        for stored, name in embedders:
            yield from module(f"{stored}.in_layer", f"time_text_embed.{name}.linear_1")
            yield from module(f"{stored}.out_layer", f"time_text_embed.{name}.linear_2")
        for i in range(self.config["num_layers"]):
            stored, name = f"double_blocks.{i}", f"transformer_blocks.{i}"
            yield from double_stream(stored, name, self._width())
            for stream, context in (("img", ""), ("txt", "_context")):
                yield from module(f"{stored}.{stream}_mod.lin", f"{name}.norm1{context}.linear")
                yield from mlp(f"{stored}.{stream}_mlp", f"{name}.ff{context}")
        for i in range(self.config["num_single_layers"]):
            stored, name = f"single_blocks.{i}", f"single_transformer_blocks.{i}"
            yield from single_stream(stored, name, self._width())
            yield from module(f"{stored}.modulation.lin", f"{name}.norm.linear")

    def _width(self) -> int:
        return int(self.config["num_attention_heads"] * self.config["attention_head_dim"])


def double_stream(stored: str, name: str, width: int, *, bias: bool = True) -> Iterator[Entry]:
    """The attention of a block with two streams."""
    for stream, projections, out, kind in (
        ("img", ("to_q", "to_k", "to_v"), "to_out.0", "norm"),
        ("txt", ("add_q_proj", "add_k_proj", "add_v_proj"), "to_add_out", "norm_added"),
    ):
        own = f"{stored}.{stream}_attn"
        yield from chain(
            fused(
                f"{own}.qkv",
                [f"{name}.attn.{part}" for part in projections],
                (width,) * 3,
                bias=bias,
            ),
            norms(f"{own}.norm", f"{name}.attn.{kind}"),
            module(f"{own}.proj", f"{name}.attn.{out}", bias=bias),
        )


def mlp(stored: str, name: str) -> Iterator[Entry]:
    """The two matrices of a stream's MLP."""
    yield from module(f"{stored}.0", f"{name}.net.0.proj")
    yield from module(f"{stored}.2", f"{name}.net.2")


def single_stream(stored: str, name: str, width: int) -> Iterator[Entry]:
    """A block with one stream, without its modulation."""
    yield from chain(
        fused(
            f"{stored}.linear1",
            [*(f"{name}.attn.{part}" for part in ("to_q", "to_k", "to_v")), f"{name}.proj_mlp"],
            (width, width, width, _MLP_RATIO * width),
        ),
        norms(f"{stored}.norm", f"{name}.attn.norm"),
        module(f"{stored}.linear2", f"{name}.proj_out"),
    )


def norms(stored: str, name: str) -> Iterator[Entry]:
    """The norms of queries and keys."""
    yield from norm(f"{stored}.query_norm", f"{name}_q")
    yield from norm(f"{stored}.key_norm", f"{name}_k")


class FluxClip(Clip):
    """OpenAI's CLIP, in files that also hold the text encoders."""

    component = "text_encoder"
    prefixes = ("text_encoders.clip_l.transformer.",)


class FluxT5(T5):
    """T5 v1.1 XXL, in files that also hold the text encoders."""

    component = "text_encoder_2"
    prefixes = ("text_encoders.t5xxl.transformer.",)


def _preset(name: str, *, guidance: bool, scheduler: dict[str, Any]) -> Preset:
    transformer = {
        "attention_head_dim": 128,
        "guidance_embeds": guidance,
        "in_channels": 64,
        "joint_attention_dim": 4096,
        "num_attention_heads": 24,
        "num_layers": 19,
        "num_single_layers": 38,
        "patch_size": 1,
        "pooled_projection_dim": 768,
    }
    vae = autoencoder(
        force_upcast=True,
        latent_channels=16,
        latents_mean=None,
        latents_std=None,
        mid_block_add_attention=True,
        sample_size=1024,
        scaling_factor=0.3611,
        shift_factor=0.1159,
        use_post_quant_conv=False,
        use_quant_conv=False,
    )
    return Preset(
        name,
        "FluxPipeline",
        {
            "transformer": ("FluxTransformer2DModel", transformer),
            "vae": ("AutoencoderKL", vae),
            "text_encoder": ("CLIPTextModel", clip()),
            "text_encoder_2": ("T5EncoderModel", t5()),
        },
        (
            "FlowMatchEulerDiscreteScheduler",
            {
                "base_image_seq_len": 256,
                "base_shift": 0.5,
                "max_image_seq_len": 4096,
                "max_shift": 1.15,
                "num_train_timesteps": 1000,
            }
            | scheduler,
        ),
        {"tokenizer": END},
        {},
        {
            "double_blocks.18.img_attn.qkv.weight": (9216, 3072),
            "guidance_in.in_layer.weight": (3072, 256) if guidance else None,
        },
    )


ORIGINAL = Original(
    "FLUX.1 checkpoint",
    (FluxTransformer, Autoencoder, FluxClip, FluxT5),
    (
        _preset("flux-dev", guidance=True, scheduler={"shift": 3.0, "use_dynamic_shifting": True}),
        _preset(
            "flux-schnell", guidance=False, scheduler={"shift": 1.0, "use_dynamic_shifting": False}
        ),
    ),
    UNUSED,
)
