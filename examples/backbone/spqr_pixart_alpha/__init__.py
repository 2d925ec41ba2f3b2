"""PixArt-alpha (arXiv 2310.00426): a transformer with cross-attention to T5."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from spqr_tests.checkpoint.backbones.backbone import (
    DIFFUSION_SAMPLERS,
    DIFFUSION_SCHEDULERS,
    Backbone,
    Defaults,
    rows_of_latents,
)
from spqr_tests.checkpoint.backbones.relation import Relation

if TYPE_CHECKING:
    import torch

_TOKENS = 120
"""Of a prompt, section 3.1 of the paper; the pipeline's default."""
_SIZED_ROWS = 128
"""Rows of latents from which the transformer is told the image's size."""


class PixArtAlpha(Backbone):
    """Diffusion; the denoiser predicts a variance besides, which its samplers do not use."""

    name = "PixArt-alpha"
    pipelines = frozenset({"PixArtAlphaPipeline"})
    denoiser = "transformer"
    models = MappingProxyType(
        {
            # Published folders name the class that it had before diffusers 0.30.
            "transformer": (
                "diffusers",
                frozenset({"PixArtTransformer2DModel", "Transformer2DModel"}),
            ),
            "vae": ("diffusers", frozenset({"AutoencoderKL"})),
            "text_encoder": ("transformers", frozenset({"T5EncoderModel"})),
        }
    )
    tokenizers = MappingProxyType({"tokenizer": frozenset({"T5Tokenizer", "T5TokenizerFast"})})
    schedulers = DIFFUSION_SCHEDULERS
    samplers = MappingProxyType(DIFFUSION_SAMPLERS)
    cross_attention = ("attn2.to_k", "attn2.to_v", "attn2.to_out")
    # The pipeline's own; Appendix A.2 of the paper samples so too.
    defaults = Defaults(20, 4.5)
    patch = 2
    # As `python -m spqr_tests.checkpoint.formats.configs PixArtTransformer2DModel` prints them.
    config_defaults = MappingProxyType(
        {
            "PixArtTransformer2DModel": {
                "activation_fn": "gelu-approximate",
                "attention_bias": True,
                "attention_head_dim": 72,
                "attention_type": "default",
                "caption_channels": None,
                "cross_attention_dim": 1152,
                "dropout": 0,
                "in_channels": 4,
                "interpolation_scale": None,
                "norm_elementwise_affine": False,
                "norm_eps": 1e-6,
                "norm_num_groups": 32,
                "norm_type": "ada_norm_single",
                "num_attention_heads": 16,
                "num_embeds_ada_norm": 1000,
                "num_layers": 28,
                "out_channels": 8,
                "patch_size": 2,
                "sample_size": 128,
                "upcast_attention": False,
                "use_additional_conditions": None,
            }
        }
    )

    def relations(self, configs: Mapping[str, Mapping[str, Any]]) -> Iterator[Relation]:
        """Latents, twice as many channels out as in, and T5's width."""
        transformer, vae = configs["transformer"], configs["vae"]
        predicted = "the transformer's out_channels"
        yield from (one for one in super().relations(configs) if one.one != predicted)
        latents = vae.get("latent_channels")
        yield Relation(
            predicted,
            transformer.get("out_channels"),
            "2 x the vae's latent_channels",
            2 * latents if type(latents) is int else None,
        )
        yield Relation(
            "the transformer's caption_channels",
            transformer.get("caption_channels"),
            "the text_encoder's d_model",
            configs["text_encoder"].get("d_model"),
        )

    def resolution(self, configs: Mapping[str, Mapping[str, Any]]) -> int:
        """The transformer's rows of latents, converted to pixels."""
        return rows_of_latents(configs["transformer"]) * self.downsampling(configs)

    def token_limit(self, tokenizer: str, configs: Mapping[str, Mapping[str, Any]]) -> int | None:
        """T5's, the pipeline's default."""
        del tokenizer, configs
        return _TOKENS

    def embed(self, pipeline: Any, texts: Sequence[str]) -> "dict[str, torch.Tensor]":
        """`sequence` (n, tokens, width), `mask` (n, tokens): 1 where there is text.

        Captions are not cleaned: the pipeline does that only where BeautifulSoup is installed.
        """
        sequence, mask, _, _ = pipeline.encode_prompt(
            list(texts),
            do_classifier_free_guidance=False,
            device=pipeline.device,
            clean_caption=False,
            max_sequence_length=_TOKENS,
        )
        return {"sequence": sequence, "mask": mask}

    def conditions(
        self, text: "dict[str, torch.Tensor]", negative: "dict[str, torch.Tensor]"
    ) -> dict[str, Any]:
        """Both embeddings with their masks, and no other size than the one that is asked for."""
        return {
            "prompt_embeds": text["sequence"],
            "prompt_attention_mask": text["mask"],
            "negative_prompt_embeds": negative["sequence"],
            "negative_prompt_attention_mask": negative["mask"],
            # Its default is the empty text, which must not be given next to embeddings.
            "negative_prompt": None,
            "use_resolution_binning": False,
        }

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
        """Noise, velocity or sample, as the scheduler's config says; without the variance."""
        del guidance
        told = {"resolution": None, "aspect_ratio": None}
        if denoiser.config.sample_size == _SIZED_ROWS:
            n, (height, width) = len(noisy), size
            told = {
                "resolution": noisy.new_tensor([[height, width]]).repeat(n, 1),
                "aspect_ratio": noisy.new_tensor([[height / width]]).repeat(n, 1),
            }
        predicted: torch.Tensor = denoiser(
            noisy,
            encoder_hidden_states=text["sequence"],
            encoder_attention_mask=text["mask"],
            timestep=times,
            added_cond_kwargs=told,
            return_dict=False,
        )[0]
        return predicted[:, : noisy.shape[1]]


BACKBONE = PixArtAlpha()
