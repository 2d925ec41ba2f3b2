"""FLUX.1: a transformer with joint attention over packed latents, one CLIP text encoder and T5."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from spqr_tests.checkpoint.backbones.backbone import (
    FLOW_SCHEDULERS,
    Backbone,
    Defaults,
    rows_of_latents,
)
from spqr_tests.checkpoint.formats.layouts.flux import ORIGINAL

if TYPE_CHECKING:
    import torch


class Flux(Backbone):
    """Rectified flow without classifier-free guidance: dev takes the guidance as an input, schnell knows none."""

    name = "FLUX"
    pipelines = frozenset({"FluxPipeline"})
    denoiser = "transformer"
    models = MappingProxyType(
        {
            "transformer": ("diffusers", frozenset({"FluxTransformer2DModel"})),
            "vae": ("diffusers", frozenset({"AutoencoderKL"})),
            "text_encoder": ("transformers", frozenset({"CLIPTextModel"})),
            "text_encoder_2": ("transformers", frozenset({"T5EncoderModel"})),
        }
    )
    tokenizers = MappingProxyType(
        {
            "tokenizer": frozenset({"CLIPTokenizer", "CLIPTokenizerFast"}),
            "tokenizer_2": frozenset({"T5Tokenizer", "T5TokenizerFast"}),
        }
    )
    schedulers = FLOW_SCHEDULERS
    samplers = MappingProxyType({})
    # Single blocks have one set of projections for text and picture, so training these would train
    # the picture's, too.
    cross_attention = ("attn.add_k_proj", "attn.add_v_proj", "attn.to_out")
    defaults = Defaults(50, 3.5)
    patch = 2
    original = ORIGINAL

    def published(self, configs: Mapping[str, Mapping[str, Any]]) -> Defaults:
        """dev takes the guidance as an input; schnell is made for four steps without."""
        return self.defaults if configs["transformer"].get("guidance_embeds") else Defaults(4, 0.0)

    def resolution(self, configs: Mapping[str, Mapping[str, Any]]) -> int:
        """What the autoencoder's config says, in whole patches: the transformer has no size of its own."""
        step = self.downsampling(configs) * self.patch
        return rows_of_latents(configs["vae"]) // step * step

    def embed(self, pipeline: Any, texts: Sequence[str]) -> "dict[str, torch.Tensor]":
        """`sequence` (n, T5's tokens, width), `pooled` (n, CLIP's width)."""
        sequence, pooled, _ = pipeline.encode_prompt(
            list(texts),
            None,
            device=pipeline.device,
            num_images_per_prompt=1,
            max_sequence_length=(
                512 if pipeline.transformer.config.guidance_embeds else 256
            ),  # dev's and schnell's
        )
        return {"sequence": sequence, "pooled": pooled}

    def unconditional(
        self, pipeline: Any, empty: "dict[str, torch.Tensor]"
    ) -> "dict[str, torch.Tensor]":
        """None: the guidance is distilled into the model."""
        del pipeline, empty
        return {}

    def conditions(
        self, text: "dict[str, torch.Tensor]", negative: "dict[str, torch.Tensor]"
    ) -> "dict[str, torch.Tensor]":
        """Both embeddings of the text, and nothing to lead away from."""
        del negative
        return {"prompt_embeds": text["sequence"], "pooled_prompt_embeds": text["pooled"]}

    def latents(
        self,
        pipeline: Any,
        text: "dict[str, torch.Tensor]",
        negative: "dict[str, torch.Tensor]",
        *,
        steps: int,
        guidance: float,
        size: tuple[int, int],
        generators: "Sequence[torch.Generator]",
    ) -> "torch.Tensor":
        """As the pipeline samples, unpacked."""
        packed = super().latents(
            pipeline,
            text,
            negative,
            steps=steps,
            guidance=guidance,
            size=size,
            generators=generators,
        )
        latents: torch.Tensor = pipeline._unpack_latents(packed, *size, pipeline.vae_scale_factor)  # noqa: SLF001
        return latents

    def predict(
        self,
        denoiser: Any,
        noisy: "torch.Tensor",
        times: "torch.Tensor",
        text: "dict[str, torch.Tensor]",
        size: tuple[int, int],
    ) -> "torch.Tensor":
        """The velocity from picture to noise; where guidance is an input it is 1, so that what was distilled stays."""
        from diffusers import FluxPipeline

        del size
        n, channels, rows, columns = noisy.shape
        sequence = text["sequence"]
        packed = denoiser(
            hidden_states=FluxPipeline._pack_latents(noisy, n, channels, rows, columns),  # noqa: SLF001
            timestep=times / 1000,
            guidance=noisy.new_ones(n) if denoiser.config.guidance_embeds else None,
            encoder_hidden_states=sequence,
            pooled_projections=text["pooled"],
            txt_ids=noisy.new_zeros(sequence.shape[1], 3),
            img_ids=FluxPipeline._prepare_latent_image_ids(
                n, rows // 2, columns // 2, noisy.device, noisy.dtype
            ),  # noqa: SLF001
            return_dict=False,
        )[0]
        # One pixel a row: the helper counts in pixels.
        predicted: torch.Tensor = FluxPipeline._unpack_latents(packed, rows, columns, 1)  # noqa: SLF001
        return predicted


BACKBONE = Flux()
