"""Stability AI's checkpoints of Stable Diffusion 3 and 3.5."""

from collections.abc import Iterator
from itertools import chain
from types import MappingProxyType
from typing import Any

from spqr_tests.checkpoint.formats.layouts.autoencoder import Autoencoder
from spqr_tests.checkpoint.formats.layouts.stable_diffusion import (
    END,
    EXCLAMATION_MARK,
    UNUSED,
    autoencoder,
    big_clip,
    clip,
)
from spqr_tests.checkpoint.formats.layouts.table import (
    Entry,
    Original,
    Part,
    Preset,
    Table,
    fused,
    module,
    swapped,
)
from spqr_tests.checkpoint.formats.layouts.text import T5, ProjectedClip


class Mmdit(Table):
    """SD3Transformer2DModel: each block has two streams with query, key and value in one tensor."""

    component = "transformer"
    prefixes = ("model.diffusion_model.", "")

    def entries(self) -> Iterator[Entry]:
        """The tensors, in the order from input to output."""
        width = self._width()
        yield "pos_embed", (Part("pos_embed.pos_embed"),)
        yield from chain(
            module("x_embedder.proj", "pos_embed.proj"),
            module("context_embedder", "context_embedder"),
            module("final_layer.linear", "proj_out"),
            swapped("final_layer.adaLN_modulation.1", "norm_out.linear", width),
        )
        for stored, name in (("t_embedder", "timestep_embedder"), ("y_embedder", "text_embedder")):
            yield from module(f"{stored}.mlp.0", f"time_text_embed.{name}.linear_1")
            yield from module(f"{stored}.mlp.2", f"time_text_embed.{name}.linear_2")
        for i in range(self.config["num_layers"]):
            yield from self._block(i)

    def _width(self) -> int:
        return int(self.config["num_attention_heads"] * self.config["attention_head_dim"])

    def _block(self, i: int) -> Iterator[Entry]:
        stored, name = f"joint_blocks.{i}", f"transformer_blocks.{i}"
        last = i == self.config["num_layers"] - 1
        yield from chain(
            self._attention(
                f"{stored}.x_block.attn", f"{name}.attn", ("to_q", "to_k", "to_v"), "norm_{}"
            ),
            self._attention(
                f"{stored}.context_block.attn",
                f"{name}.attn",
                ("add_q_proj", "add_k_proj", "add_v_proj"),
                "norm_added_{}",
            ),
            module(f"{stored}.x_block.attn.proj", f"{name}.attn.to_out.0"),
            module(f"{stored}.x_block.adaLN_modulation.1", f"{name}.norm1.linear"),
            module(f"{stored}.x_block.mlp.fc1", f"{name}.ff.net.0.proj"),
            module(f"{stored}.x_block.mlp.fc2", f"{name}.ff.net.2"),
        )
        if i in (self.config.get("dual_attention_layers") or ()):
            yield from self._attention(
                f"{stored}.x_block.attn2", f"{name}.attn2", ("to_q", "to_k", "to_v"), "norm_{}"
            )
            yield from module(f"{stored}.x_block.attn2.proj", f"{name}.attn2.to_out.0")
        modulation = f"{stored}.context_block.adaLN_modulation.1", f"{name}.norm1_context.linear"
        if last:
            # In the last block the text is only attended to, so its stream has no output.
            yield from swapped(*modulation, self._width())
            return
        yield from chain(
            module(*modulation),
            module(f"{stored}.context_block.attn.proj", f"{name}.attn.to_add_out"),
            module(f"{stored}.context_block.mlp.fc1", f"{name}.ff_context.net.0.proj"),
            module(f"{stored}.context_block.mlp.fc2", f"{name}.ff_context.net.2"),
        )

    def _attention(
        self, stored: str, name: str, projections: tuple[str, ...], norm: str
    ) -> Iterator[Entry]:
        yield from fused(
            f"{stored}.qkv", [f"{name}.{part}" for part in projections], (self._width(),) * 3
        )
        if self.config.get("qk_norm") is not None:
            for letter in "qk":
                yield from module(
                    f"{stored}.ln_{letter}", f"{name}.{norm.format(letter)}", bias=False
                )


class ClipL(ProjectedClip):
    """OpenAI's CLIP, as transformers names it.

    Most files leave out its projection, which is then an identity matrix in the authors' code.
    """

    component = "text_encoder"
    prefixes = ("text_encoders.clip_l.transformer.",)
    identities = MappingProxyType({"text_projection.weight": "projection_dim"})


class ClipG(ProjectedClip):
    """OpenCLIP-bigG, as transformers names it."""

    component = "text_encoder_2"
    prefixes = ("text_encoders.clip_g.transformer.",)


class T5Xxl(T5):
    """T5 v1.1 XXL."""

    component = "text_encoder_3"
    prefixes = ("text_encoders.t5xxl.transformer.",)


def t5() -> dict[str, Any]:
    """The config of the T5 v1.1 XXL encoder, as pipelines publish it."""
    return {
        "classifier_dropout": 0.0,
        "d_ff": 10240,
        "d_kv": 64,
        "d_model": 4096,
        "decoder_start_token_id": 0,
        "dense_act_fn": "gelu_new",
        "dropout_rate": 0.1,
        "eos_token_id": 1,
        "feed_forward_proj": "gated-gelu",
        "initializer_factor": 1.0,
        "is_encoder_decoder": True,
        "is_gated_act": True,
        "layer_norm_epsilon": 1e-06,
        "model_type": "t5",
        "num_decoder_layers": 24,
        "num_heads": 64,
        "num_layers": 24,
        "output_past": True,
        "pad_token_id": 0,
        "relative_attention_max_distance": 128,
        "relative_attention_num_buckets": 32,
        "tie_word_embeddings": False,
        "use_cache": True,
        "vocab_size": 32128,
    }


def _preset(name: str, width: int, **changed: Any) -> Preset:
    transformer = {
        "attention_head_dim": 64,
        "caption_projection_dim": width,
        "in_channels": 16,
        "joint_attention_dim": 4096,
        "num_attention_heads": width // 64,
        "num_layers": width // 64,
        "out_channels": 16,
        "patch_size": 2,
        "pooled_projection_dim": 2048,
        "pos_embed_max_size": 192,
        "sample_size": 128,
    } | changed
    vae = autoencoder(
        force_upcast=True,
        latent_channels=16,
        latents_mean=None,
        latents_std=None,
        sample_size=1024,
        scaling_factor=1.5305,
        shift_factor=0.0609,
        use_post_quant_conv=False,
        use_quant_conv=False,
    )
    return Preset(
        name,
        "StableDiffusion3Pipeline",
        {
            "transformer": ("SD3Transformer2DModel", transformer),
            "vae": ("AutoencoderKL", vae),
            "text_encoder": ("CLIPTextModelWithProjection", clip()),
            "text_encoder_2": ("CLIPTextModelWithProjection", big_clip()),
            "text_encoder_3": ("T5EncoderModel", t5()),
        },
        ("FlowMatchEulerDiscreteScheduler", {"num_train_timesteps": 1000, "shift": 3.0}),
        {"tokenizer": END, "tokenizer_2": EXCLAMATION_MARK},
        {},
        {"pos_embed": (1, transformer["pos_embed_max_size"] ** 2, width)},
    )


ORIGINAL = Original(
    "Stable Diffusion 3 checkpoint",
    (Mmdit, Autoencoder, ClipL, ClipG, T5Xxl),
    (
        _preset("sd3-medium", 1536),
        _preset(
            "sd3.5-medium",
            1536,
            dual_attention_layers=[*range(13)],
            pos_embed_max_size=384,
            qk_norm="rms_norm",
        ),
        _preset("sd3.5-large", 2432, qk_norm="rms_norm"),
    ),
    (*UNUSED, r"model_sampling\.sigmas", r"first_stage_model\.loss\..*"),
)
