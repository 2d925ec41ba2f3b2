"""FLUX.1: a transformer with joint attention over packed latents, one CLIP text encoder and T5."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from spqr_tests.checkpoint.backbones import distilled, packing
from spqr_tests.checkpoint.backbones.backbone import (
    FLOW_SCHEDULERS,
    Backbone,
    Defaults,
    rows_of_latents,
)
from spqr_tests.checkpoint.backbones.relation import Relation
from spqr_tests.checkpoint.formats.layouts.flux import ORIGINAL
from spqr_tests.checkpoint.formats.layouts.table import Original

if TYPE_CHECKING:
    import torch


class Flux(Backbone):
    """Rectified flow without classifier-free guidance.

    FLUX.1-dev takes the guidance as an input; schnell has no guidance.
    """

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
    # Single blocks have one set of projections for text and image, so training them would train the
    # image's as well.
    cross_attention = ("attn.add_k_proj", "attn.add_v_proj", "attn.to_out")
    defaults = Defaults(50, 3.5)
    patch = 2
    guided = True
    packed = 4
    inputs = MappingProxyType(
        {128: "FLUX.1 with a control picture", 384: "FLUX.1 Fill, an inpainting model"}
    )
    original: Original | None = ORIGINAL

    def published(self, configs: Mapping[str, Mapping[str, Any]]) -> Defaults:
        """dev's if the guidance is an input, otherwise schnell's: four steps without guidance.

        A model without that input that is not sampled as schnell is may be dev, trained again.
        """
        transformer = configs["transformer"]
        if transformer.get("guidance_embeds"):
            return self.defaults
        if distilled.is_schnell(transformer, configs.get("scheduler", {})):
            return distilled.SCHNELL
        return replace(distilled.SCHNELL, distilled="")

    def relations(self, configs: Mapping[str, Mapping[str, Any]]) -> Iterator[Relation]:
        """Latents, T5's width and CLIP's."""
        yield from super().relations(configs)
        transformer = configs["transformer"]
        yield Relation(
            "the transformer's joint_attention_dim",
            transformer.get("joint_attention_dim"),
            "the text_encoder_2's d_model",
            configs["text_encoder_2"].get("d_model"),
        )
        yield Relation(
            "the transformer's pooled_projection_dim",
            transformer.get("pooled_projection_dim"),
            "the text_encoder's hidden_size",
            configs["text_encoder"].get("hidden_size"),
        )

    def resolution(self, configs: Mapping[str, Mapping[str, Any]]) -> int:
        """The autoencoder's size in whole patches: the transformer's config names none."""
        step = self.downsampling(configs) * self.patch
        return rows_of_latents(configs["vae"]) // step * step

    def token_limit(self, tokenizer: str, configs: Mapping[str, Mapping[str, Any]]) -> int | None:
        """T5's: dev's and schnell's."""
        if tokenizer != "tokenizer_2":
            return None
        return 512 if configs["transformer"].get("guidance_embeds") else 256

    def embed(self, pipeline: Any, texts: Sequence[str]) -> "dict[str, torch.Tensor]":
        """`sequence` (n, T5's tokens, width), `pooled` (n, CLIP's width)."""
        sequence, pooled, _ = pipeline.encode_prompt(
            list(texts),
            None,
            device=pipeline.device,
            num_images_per_prompt=1,
            max_sequence_length=self.token_limit(
                "tokenizer_2", {"transformer": pipeline.transformer.config}
            ),
        )
        return {"sequence": sequence, "pooled": pooled}

    def unconditional(
        self, pipeline: Any, empty: "dict[str, torch.Tensor]"
    ) -> "dict[str, torch.Tensor]":
        """An empty dict: the guidance is distilled into the model."""
        del pipeline, empty
        return {}

    def conditions(
        self, text: "dict[str, torch.Tensor]", negative: "dict[str, torch.Tensor]"
    ) -> "dict[str, torch.Tensor]":
        """Both embeddings of the text, without negative ones."""
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
        """The latents that the pipeline samples, unpacked."""
        packed = super().latents(
            pipeline,
            text,
            negative,
            steps=steps,
            guidance=guidance,
            size=size,
            generators=generators,
        )
        patch = pipeline.vae_scale_factor * self.patch
        return packing.unpacked(packed, size[0] // patch, size[1] // patch)

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
        """The velocity from image to noise.

        Where guidance is an input it is 1 by default, so that training keeps the distilled
        guidance.
        """
        del size
        n, _, rows, columns = noisy.shape
        sequence = text["sequence"]
        packed = denoiser(
            hidden_states=packing.packed(noisy),
            timestep=times / 1000,
            guidance=noisy.new_full((n,), guidance) if denoiser.config.guidance_embeds else None,
            encoder_hidden_states=sequence,
            pooled_projections=text["pooled"],
            txt_ids=noisy.new_zeros(sequence.shape[1], 3),
            img_ids=packing.positions(rows // 2, columns // 2).to(noisy),
            return_dict=False,
        )[0]
        return packing.unpacked(packed, rows // 2, columns // 2)


BACKBONE = Flux()
