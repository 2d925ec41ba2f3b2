"""Kolors: Stable Diffusion XL's UNet, with ChatGLM 3 for the text."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from spqr_tests.checkpoint.backbones import distilled
from spqr_tests.checkpoint.backbones.backbone import Backbone, Defaults
from spqr_tests.checkpoint.backbones.relation import Relation, total
from spqr_tests.checkpoint.backbones.stable_diffusion_xl import StableDiffusionXL

if TYPE_CHECKING:
    import torch

_TOKENS = 256
"""The pipeline's own number."""


class Kolors(StableDiffusionXL):
    """Diffusion, with the image's size as a condition."""

    name = "Kolors"
    pipelines = frozenset({"KolorsPipeline"})
    models = MappingProxyType(
        {
            "unet": ("diffusers", frozenset({"UNet2DConditionModel"})),
            "vae": ("diffusers", frozenset({"AutoencoderKL"})),
            "text_encoder": ("kolors", frozenset({"ChatGLMModel"})),
        }
    )
    tokenizers = MappingProxyType({"tokenizer": frozenset({"ChatGLMTokenizer"})})
    tokenizer_library = "kolors"
    defaults = Defaults(50, 5.0)
    original = None

    def published(self, configs: Mapping[str, Mapping[str, Any]]) -> Defaults:
        """Those of Kolors, or of an LCM of it."""
        return distilled.unet(configs["unet"], configs.get("scheduler", {})) or self.defaults

    def relations(self, configs: Mapping[str, Mapping[str, Any]]) -> Iterator[Relation]:
        """Latents, the width of the text, and that of its last token's with six numbers."""
        yield from Backbone.relations(self, configs)
        unet, width = configs["unet"], configs["text_encoder"].get("hidden_size")
        yield Relation(
            "the unet's encoder_hid_dim",
            unet.get("encoder_hid_dim"),
            "the text_encoder's hidden_size",
            width,
        )
        numbers = unet.get("addition_time_embed_dim")
        yield Relation(
            "the unet's projection_class_embeddings_input_dim",
            unet.get("projection_class_embeddings_input_dim"),
            "6 x its addition_time_embed_dim + the text_encoder's hidden_size",
            total(*[numbers] * 6, width),
        )

    def token_limit(self, tokenizer: str, configs: Mapping[str, Mapping[str, Any]]) -> int | None:
        """The pipeline's own number."""
        del tokenizer, configs
        return _TOKENS

    def embed(self, pipeline: Any, texts: Sequence[str]) -> "dict[str, torch.Tensor]":
        """`sequence` (n, tokens, width), `pooled` (n, width): the last token's."""
        sequence, _, pooled, _ = pipeline.encode_prompt(
            list(texts),
            device=pipeline.device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=False,
            max_sequence_length=_TOKENS,
        )
        return {"sequence": sequence, "pooled": pooled}

    def unconditional(
        self, pipeline: Any, empty: "dict[str, torch.Tensor]"
    ) -> "dict[str, torch.Tensor]":
        """The empty prompt's, as its authors sample it.

        The pipeline cannot do what its switch for zeros says: its pooled text would be missing.
        """
        del pipeline
        return empty


BACKBONE = Kolors()
