"""Stable Diffusion 3 and 3.5: a transformer with joint attention to its text encoders.

The text encoders are two CLIP models and, if the checkpoint has it, T5.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from spqr_tests.checkpoint.backbones.backbone import (
    FLOW_SCHEDULERS,
    Backbone,
    Defaults,
    rows_of_latents,
)
from spqr_tests.checkpoint.backbones.relation import Relation, total
from spqr_tests.checkpoint.formats.layouts.stable_diffusion_3 import ORIGINAL

if TYPE_CHECKING:
    import torch


_T5_TOKENS = 256
"""The pipeline's default."""


class StableDiffusion3(Backbone):
    """Rectified flow, with classifier-free guidance."""

    name = "Stable Diffusion 3"
    pipelines = frozenset({"StableDiffusion3Pipeline"})
    denoiser = "transformer"
    models = MappingProxyType(
        {
            "transformer": ("diffusers", frozenset({"SD3Transformer2DModel"})),
            "vae": ("diffusers", frozenset({"AutoencoderKL"})),
            "text_encoder": ("transformers", frozenset({"CLIPTextModelWithProjection"})),
            "text_encoder_2": ("transformers", frozenset({"CLIPTextModelWithProjection"})),
            "text_encoder_3": ("transformers", frozenset({"T5EncoderModel"})),
        }
    )
    tokenizers = MappingProxyType(
        {
            "tokenizer": frozenset({"CLIPTokenizer", "CLIPTokenizerFast"}),
            "tokenizer_2": frozenset({"CLIPTokenizer", "CLIPTokenizerFast"}),
            "tokenizer_3": frozenset({"T5Tokenizer", "T5TokenizerFast"}),
        }
    )
    schedulers = FLOW_SCHEDULERS
    samplers = MappingProxyType({})
    optional = frozenset({"text_encoder_3", "tokenizer_3"})
    # The text's keys and values, and the image stream's output projection; 3.5's `attn2` is the
    # image's attention to itself.
    cross_attention = ("attn.add_k_proj", "attn.add_v_proj", "attn.to_out")
    defaults = Defaults(28, 7.0)
    patch = 2
    original = ORIGINAL

    def published(self, configs: Mapping[str, Mapping[str, Any]]) -> Defaults:
        """The defaults of 3, of 3.5 large or of 3.5 medium.

        3.5 normalises queries and keys, and only its medium size has two kinds of attention blocks.
        """
        config = configs["transformer"]
        if config.get("dual_attention_layers"):
            return Defaults(40, 4.5)
        return Defaults(28, 3.5) if config.get("qk_norm") else self.defaults

    def relations(self, configs: Mapping[str, Mapping[str, Any]]) -> Iterator[Relation]:
        """Latents, T5's width, and both CLIPs' projections."""
        yield from super().relations(configs)
        transformer = configs["transformer"]
        yield Relation(
            "the transformer's joint_attention_dim",
            transformer.get("joint_attention_dim"),
            "the text_encoder_3's d_model",
            configs.get("text_encoder_3", {}).get("d_model"),
        )
        yield Relation(
            "the transformer's pooled_projection_dim",
            transformer.get("pooled_projection_dim"),
            "the CLIPs' projection_dim together",
            total(
                configs["text_encoder"].get("projection_dim"),
                configs["text_encoder_2"].get("projection_dim"),
            ),
        )

    def resolution(self, configs: Mapping[str, Mapping[str, Any]]) -> int:
        """The transformer's rows of latents, converted to pixels."""
        return rows_of_latents(configs["transformer"]) * self.downsampling(configs)

    def token_limit(self, tokenizer: str, configs: Mapping[str, Mapping[str, Any]]) -> int | None:
        """T5's, the pipeline's default."""
        del configs
        return _T5_TOKENS if tokenizer == "tokenizer_3" else None

    def embed(self, pipeline: Any, texts: Sequence[str]) -> "dict[str, torch.Tensor]":
        """`sequence` (n, tokens of CLIP and of T5, width), `pooled` (n, both CLIPs' projections).

        Without T5, its part of `sequence` is zero.
        """
        sequence, _, pooled, _ = pipeline.encode_prompt(
            list(texts),
            None,
            None,
            device=pipeline.device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=False,
            max_sequence_length=_T5_TOKENS,
        )
        return {"sequence": sequence, "pooled": pooled}

    def predict(
        self,
        denoiser: Any,
        noisy: "torch.Tensor",
        times: "torch.Tensor",
        text: "dict[str, torch.Tensor]",
        size: tuple[int, int],
        *,
        guidance: float = 1.0,
    ) -> "torch.Tensor":
        """The velocity from image to noise."""
        del size, guidance
        predicted: torch.Tensor = denoiser(
            hidden_states=noisy,
            timestep=times,
            encoder_hidden_states=text["sequence"],
            pooled_projections=text["pooled"],
            return_dict=False,
        )[0]
        return predicted


BACKBONE = StableDiffusion3()
