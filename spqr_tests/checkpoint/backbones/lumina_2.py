"""Lumina 2: a transformer with one stream for text and image, and Gemma 2 as text encoder."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from spqr_tests.checkpoint.backbones.backbone import FLOW_SCHEDULERS, Defaults, rows_of_latents
from spqr_tests.checkpoint.backbones.chat import Written
from spqr_tests.checkpoint.backbones.prompt_rows import PromptRows
from spqr_tests.checkpoint.backbones.relation import Relation
from spqr_tests.checkpoint.formats.layouts.lumina_2 import ORIGINAL

if TYPE_CHECKING:
    import torch

_SYSTEM = (
    "You are an assistant designed to generate superior images with the superior degree of"
    " image-text alignment based on textual prompts or user prompts."
)
"""What the pipeline writes before a prompt, of which its limit is a part."""


class Lumina2(PromptRows):
    """Rectified flow, with classifier-free guidance that keeps each row's length.

    A prompt is encoded behind a system prompt, the empty one without.
    """

    name = "Lumina"
    pipelines = frozenset({"Lumina2Pipeline"})
    denoiser = "transformer"
    models = MappingProxyType(
        {
            "transformer": ("diffusers", frozenset({"Lumina2Transformer2DModel"})),
            "vae": ("diffusers", frozenset({"AutoencoderKL"})),
            "text_encoder": ("transformers", frozenset({"Gemma2Model"})),
        }
    )
    tokenizers = MappingProxyType(
        {"tokenizer": frozenset({"GemmaTokenizer", "GemmaTokenizerFast"})}
    )
    schedulers = FLOW_SCHEDULERS
    samplers = MappingProxyType({})
    # The layers that work on the text alone, before it joins the image's stream.
    cross_attention = ("caption_embedder", "context_refiner")
    # The card of Alpha-VLLM/Lumina-Image-2.0; its cfg_trunc_ratio is left at the pipeline's 1.
    defaults = Defaults(50, 4.0)
    original = ORIGINAL
    patch = 2
    multiple = 16
    # diffusers' train_dreambooth_lora_lumina2.py: --weighting_scheme none.
    times = "uniform"
    tokens = 256
    """The pipeline's default."""

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
        """The transformer's rows of latents, converted to pixels."""
        return rows_of_latents(configs["transformer"]) * self.downsampling(configs)

    def token_limit(self, tokenizer: str, configs: Mapping[str, Mapping[str, Any]]) -> int | None:
        """Those of the system prompt and the prompt."""
        del tokenizer, configs
        return self.tokens

    def written(self, tokenizer: str) -> Written | None:
        """Behind the system prompt."""
        del tokenizer
        return lambda _, prompt: f"{_SYSTEM} <Prompt Start> {prompt}"

    def encoded(self, pipeline: Any, text: str, device: "torch.device") -> "torch.Tensor":
        """A prompt's hidden states before the last layer, its system prompt's included."""
        own, mask, empty, empty_mask = pipeline.encode_prompt(
            [text],
            do_classifier_free_guidance=not text,
            device=device,
            system_prompt=_SYSTEM,
            max_sequence_length=self.tokens,
        )
        states, kept = (own, mask) if text else (empty, empty_mask)
        found: torch.Tensor = states[0][kept[0].bool()]
        return found

    def conditions(
        self, text: "dict[str, torch.Tensor]", negative: "dict[str, torch.Tensor]"
    ) -> "dict[str, torch.Tensor]":
        """The padded embeddings with their masks, which must have one shape."""
        found = {}
        for prefix, given in (("", text), ("negative_", negative)):
            if given:
                found[f"{prefix}prompt_embeds"] = given["sequence"]
                found[f"{prefix}prompt_attention_mask"] = given["mask"].long()
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
        """The velocity from image to noise: the transformer's, and its time, run the other way."""
        del size, guidance
        mask = text["mask"].long()
        with _counted(denoiser, mask):
            predicted: torch.Tensor = denoiser(
                hidden_states=noisy,
                timestep=1 - times / 1000,
                encoder_hidden_states=text["sequence"],
                encoder_attention_mask=mask.to(noisy.device),
                return_dict=False,
            )[0]
        return -predicted


@contextmanager
def _counted(denoiser: Any, mask: "torch.Tensor") -> Iterator[None]:
    """On the meta device, tell the positions the lengths of prompts, which are numbers."""
    if next(denoiser.parameters()).device.type != "meta":
        yield
        return
    positions = denoiser.rope_embedder.forward
    denoiser.rope_embedder.forward = lambda hidden, _: positions(hidden, mask)
    try:
        yield
    finally:
        del denoiser.rope_embedder.forward


BACKBONE = Lumina2()
