"""Stable Diffusion 1.x and 2.x: a UNet with cross-attention to one CLIP text encoder."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from spqr_tests.checkpoint.backbones import distilled
from spqr_tests.checkpoint.backbones.backbone import (
    DIFFUSION_SAMPLERS,
    DIFFUSION_SCHEDULERS,
    UNET_INPUTS,
    Backbone,
    Defaults,
    rows_of_latents,
)
from spqr_tests.checkpoint.backbones.relation import Relation
from spqr_tests.checkpoint.formats.layouts.stable_diffusion import ORIGINAL

if TYPE_CHECKING:
    import torch


_SD2_WIDTH = 1024
"""Of the text embeddings of Stable Diffusion 2."""


class StableDiffusion(Backbone):
    """Both generations; the scheduler's config says what their denoiser predicts."""

    name = "Stable Diffusion"
    pipelines = frozenset({"StableDiffusionPipeline"})
    denoiser = "unet"
    models = MappingProxyType(
        {
            "unet": ("diffusers", frozenset({"UNet2DConditionModel"})),
            "vae": ("diffusers", frozenset({"AutoencoderKL"})),
            "text_encoder": ("transformers", frozenset({"CLIPTextModel"})),
        }
    )
    tokenizers = MappingProxyType({"tokenizer": frozenset({"CLIPTokenizer", "CLIPTokenizerFast"})})
    schedulers = DIFFUSION_SCHEDULERS
    samplers = MappingProxyType(DIFFUSION_SAMPLERS)
    multiple = 8
    inputs = UNET_INPUTS
    cross_attention = ("attn2.to_k", "attn2.to_v", "attn2.to_out")
    scaled_by_prompt = True
    defaults = Defaults(50, 7.5)
    original = ORIGINAL

    def published(self, configs: Mapping[str, Mapping[str, Any]]) -> Defaults:
        """Those of Stable Diffusion, or of a distilled model that the configs tell."""
        unet, scheduler = configs["unet"], configs.get("scheduler", {})
        # SD Turbo was distilled from 2.1.
        if unet.get("cross_attention_dim") == _SD2_WIDTH and distilled.is_turbo(unet, scheduler):
            return distilled.SD_TURBO
        return distilled.unet(unet, scheduler) or self.defaults

    def relations(self, configs: Mapping[str, Mapping[str, Any]]) -> Iterator[Relation]:
        """Latents, and the width of the text."""
        yield from super().relations(configs)
        yield Relation(
            "the unet's cross_attention_dim",
            configs["unet"].get("cross_attention_dim"),
            "the text_encoder's hidden_size",
            configs["text_encoder"].get("hidden_size"),
        )

    def resolution(self, configs: Mapping[str, Mapping[str, Any]]) -> int:
        """The UNet's rows of latents, converted to pixels."""
        return rows_of_latents(configs["unet"]) * self.downsampling(configs)

    def embed(self, pipeline: Any, texts: Sequence[str]) -> "dict[str, torch.Tensor]":
        """`sequence` (n, tokens, width)."""
        sequence, _ = pipeline.encode_prompt(
            list(texts), pipeline.device, 1, do_classifier_free_guidance=False
        )
        return {"sequence": sequence}

    def conditions(
        self, text: "dict[str, torch.Tensor]", negative: "dict[str, torch.Tensor]"
    ) -> "dict[str, torch.Tensor]":
        """The embeddings of one encoder, without pooled ones."""
        return {"prompt_embeds": text["sequence"], "negative_prompt_embeds": negative["sequence"]}

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
        """Noise, velocity or sample, as the scheduler's config says."""
        del size, guidance
        predicted: torch.Tensor = denoiser(noisy, times, text["sequence"], return_dict=False)[0]
        return predicted


BACKBONE = StableDiffusion()
