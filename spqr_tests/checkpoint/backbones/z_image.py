"""Z-Image: a transformer with one stream for text and image, and Qwen3 as text encoder."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from spqr_tests.checkpoint.backbones import chat, distilled, prompt_rows
from spqr_tests.checkpoint.backbones.backbone import FLOW_SCHEDULERS, Defaults
from spqr_tests.checkpoint.backbones.prompt_rows import QWEN_TOKENIZERS, PromptRows
from spqr_tests.checkpoint.backbones.relation import Relation
from spqr_tests.checkpoint.formats.layouts.z_image import ORIGINAL

if TYPE_CHECKING:
    import torch

_SIDE = 1024
"""The pipeline's default; no config says it."""


class ZImage(PromptRows):
    """Rectified flow. A guidance scale of g leads away from the empty prompt by g, not by g - 1."""

    name = "Z-Image"
    pipelines = frozenset({"ZImagePipeline"})
    denoiser = "transformer"
    models = MappingProxyType(
        {
            "transformer": ("diffusers", frozenset({"ZImageTransformer2DModel"})),
            "vae": ("diffusers", frozenset({"AutoencoderKL"})),
            "text_encoder": ("transformers", frozenset({"Qwen3Model", "Qwen3ForCausalLM"})),
        }
    )
    tokenizers = MappingProxyType({"tokenizer": QWEN_TOKENIZERS})
    schedulers = FLOW_SCHEDULERS
    samplers = MappingProxyType({})
    # The layers that work on the text alone, before it joins the image's stream.
    cross_attention = ("cap_embedder", "context_refiner")
    defaults = Defaults(50, 4.0)
    original = ORIGINAL
    patch = 2
    unguided = 0.0
    # diffusers' train_dreambooth_lora_z_image.py: --weighting_scheme none.
    times = "uniform"
    tokens = 512
    """The pipeline's default."""

    def published(self, configs: Mapping[str, Mapping[str, Any]]) -> Defaults:
        """The base model's, or Turbo's, which has another shift."""
        if distilled.is_z_image_turbo(configs.get("scheduler", {})):
            return distilled.Z_IMAGE_TURBO
        return self.defaults

    def relations(self, configs: Mapping[str, Mapping[str, Any]]) -> Iterator[Relation]:
        """Latents, and the width of the text."""
        yield from super().relations(configs)
        yield Relation(
            "the transformer's cap_feat_dim",
            configs["transformer"].get("cap_feat_dim"),
            "the text_encoder's hidden_size",
            configs["text_encoder"].get("hidden_size"),
        )

    def resolution(self, configs: Mapping[str, Mapping[str, Any]]) -> int:
        """1024, in whole patches."""
        step = self.downsampling(configs) * self.patch
        return _SIDE // step * step

    def token_limit(self, tokenizer: str, configs: Mapping[str, Mapping[str, Any]]) -> int | None:
        """Those of the template, up to the prompt's end."""
        del tokenizer, configs
        return self.tokens

    def written(self, tokenizer: str) -> chat.Written | None:
        """In the tokenizer's template."""
        del tokenizer
        return chat.written(enable_thinking=True)

    def encoded(self, pipeline: Any, text: str, device: "torch.device") -> "torch.Tensor":
        """A prompt's hidden states before the last layer, its template's included."""
        found, _ = pipeline.encode_prompt(
            [text],
            device=device,
            do_classifier_free_guidance=False,
            max_sequence_length=self.tokens,
        )
        states: torch.Tensor = found[0]
        return states

    def conditions(
        self, text: "dict[str, torch.Tensor]", negative: "dict[str, torch.Tensor]"
    ) -> "dict[str, torch.Tensor]":
        """The rows of each prompt, in lists."""
        found: dict[str, Any] = {"prompt_embeds": prompt_rows.rows(text)}
        if negative:
            found["negative_prompt_embeds"] = prompt_rows.rows(negative)
        return found

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
        """The velocity from image to noise; the transformer's own runs the other way, as its time.

        Latents are images of one frame.
        """
        import torch

        del size, guidance
        predicted = denoiser(
            list(noisy[:, :, None].unbind(0)),
            (1000 - times) / 1000,
            prompt_rows.rows(text),
            return_dict=False,
        )[0]
        return -torch.stack(predicted)[:, :, 0]


BACKBONE = ZImage()
