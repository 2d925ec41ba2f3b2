"""Stable Diffusion XL: a UNet with cross-attention to two CLIP text encoders.

The UNet also gets the image's size and crop (micro-conditioning).
"""

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
from spqr_tests.checkpoint.backbones.relation import Relation, total
from spqr_tests.checkpoint.formats.layouts.stable_diffusion import ORIGINAL_XL
from spqr_tests.checkpoint.formats.layouts.table import Original

if TYPE_CHECKING:
    import torch


class StableDiffusionXL(Backbone):
    """The base model. Refiners start from an image and are not measured."""

    name = "Stable Diffusion XL"
    pipelines = frozenset({"StableDiffusionXLPipeline"})
    denoiser = "unet"
    models = MappingProxyType(
        {
            "unet": ("diffusers", frozenset({"UNet2DConditionModel"})),
            "vae": ("diffusers", frozenset({"AutoencoderKL"})),
            "text_encoder": ("transformers", frozenset({"CLIPTextModel"})),
            "text_encoder_2": ("transformers", frozenset({"CLIPTextModelWithProjection"})),
        }
    )
    tokenizers = MappingProxyType(
        dict.fromkeys(
            ("tokenizer", "tokenizer_2"), frozenset({"CLIPTokenizer", "CLIPTokenizerFast"})
        )
    )
    schedulers = DIFFUSION_SCHEDULERS
    samplers = MappingProxyType(DIFFUSION_SAMPLERS)
    arguments = frozenset({"force_zeros_for_empty_prompt"})
    multiple = 8
    # The first autoencoders of this family overflow in float16, and their config says so.
    upcasts = True
    inputs = UNET_INPUTS
    cross_attention = ("attn2.to_k", "attn2.to_v", "attn2.to_out")
    statistics = False
    """Whether its autoencoder's config has the mean and deviation of latents."""
    defaults = Defaults(50, 5.0)
    original: Original | None = ORIGINAL_XL

    def published(self, configs: Mapping[str, Mapping[str, Any]]) -> Defaults:
        """Those of the base model, or of a distilled model that the configs tell."""
        unet, scheduler = configs["unet"], configs.get("scheduler", {})
        if distilled.is_turbo(unet, scheduler):
            return distilled.SDXL_TURBO
        return distilled.unet(unet, scheduler) or self.defaults

    def relations(self, configs: Mapping[str, Mapping[str, Any]]) -> Iterator[Relation]:
        """Latents, the width of both texts, and that of the pooled text with six numbers."""
        yield from super().relations(configs)
        unet = configs["unet"]
        first, second = configs["text_encoder"], configs["text_encoder_2"]
        yield Relation(
            "the unet's cross_attention_dim",
            unet.get("cross_attention_dim"),
            "the text encoders' hidden_size together",
            total(first.get("hidden_size"), second.get("hidden_size")),
        )
        numbers = unet.get("addition_time_embed_dim")
        yield Relation(
            "the unet's projection_class_embeddings_input_dim",
            unet.get("projection_class_embeddings_input_dim"),
            "6 x its addition_time_embed_dim + the text_encoder_2's projection_dim",
            total(*[numbers] * 6, second.get("projection_dim")),
        )

        if not self.statistics:
            yield Relation(
                "the length of the vae's latents_mean",
                len(configs["vae"].get("latents_mean") or ()),
                "that of Stable Diffusion XL's",
                0,
                {4: "Playground 2.5's, which one of EDM's schedulers samples"},
            )

    def resolution(self, configs: Mapping[str, Mapping[str, Any]]) -> int:
        """The UNet's rows of latents, converted to pixels."""
        return rows_of_latents(configs["unet"]) * self.downsampling(configs)

    def embed(self, pipeline: Any, texts: Sequence[str]) -> "dict[str, torch.Tensor]":
        """`sequence` (n, tokens, both widths), `pooled` (n, the second encoder's projection)."""
        sequence, _, pooled, _ = pipeline.encode_prompt(
            list(texts),
            device=pipeline.device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=False,
        )
        return {"sequence": sequence, "pooled": pooled}

    def unconditional(
        self, pipeline: Any, empty: "dict[str, torch.Tensor]"
    ) -> "dict[str, torch.Tensor]":
        """Zeros if the pipeline's switch says so, otherwise the empty prompt's embeddings."""
        if not pipeline.config.force_zeros_for_empty_prompt:
            return empty
        return {name: tensor.new_zeros(tensor.shape) for name, tensor in empty.items()}

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
        """Noise, velocity or sample, as the scheduler's config says.

        The conditioning is for an uncropped image of `size`.
        """
        del guidance
        sizes = noisy.new_tensor([[*size, 0, 0, *size]]).repeat(len(noisy), 1)
        predicted: torch.Tensor = denoiser(
            noisy,
            times,
            encoder_hidden_states=text["sequence"],
            added_cond_kwargs={"text_embeds": text["pooled"], "time_ids": sizes},
            return_dict=False,
        )[0]
        return predicted


BACKBONE = StableDiffusionXL()
