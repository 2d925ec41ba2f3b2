"""Sana: a transformer of linear attention over the latents of DC-AE, with Gemma 2 for the text."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from spqr_tests.checkpoint.backbones.backbone import Defaults, rows_of_latents
from spqr_tests.checkpoint.backbones.masked_text import MaskedText
from spqr_tests.checkpoint.backbones.relation import Relation
from spqr_tests.checkpoint.formats.layouts.sana import ORIGINAL

if TYPE_CHECKING:
    import torch


class Sana(MaskedText):
    """Flow matching, sampled by DPM-Solver++ or by Euler's steps.

    A prompt is encoded behind an instruction of some 200 words, its `complex_human_instruction`,
    and the tokens of the prompt are kept.
    """

    name = "Sana"
    pipelines = frozenset({"SanaPipeline"})
    denoiser = "transformer"
    models = MappingProxyType(
        {
            "transformer": ("diffusers", frozenset({"SanaTransformer2DModel"})),
            "vae": ("diffusers", frozenset({"AutoencoderDC"})),
            "text_encoder": ("transformers", frozenset({"Gemma2Model"})),
        }
    )
    tokenizers = MappingProxyType(
        {"tokenizer": frozenset({"GemmaTokenizer", "GemmaTokenizerFast"})}
    )
    schedulers = frozenset({"DPMSolverMultistepScheduler", "FlowMatchEulerDiscreteScheduler"})
    samplers = MappingProxyType({})
    predictions = ("flow_prediction",)
    cross_attention = ("attn2.to_k", "attn2.to_v", "attn2.to_out")
    defaults = Defaults(20, 4.5)
    original = ORIGINAL
    multiple = 32
    tokens = 300

    @property
    def trained_by(self) -> str:
        """Flow matching, whichever scheduler samples it."""
        return "flow matching"

    def token_limit(self, tokenizer: str, configs: Mapping[str, Mapping[str, Any]]) -> int | None:
        """One less than the pipeline keeps, of which one is the instruction's last."""
        del tokenizer, configs
        return self.tokens - 1

    def relations(self, configs: Mapping[str, Mapping[str, Any]]) -> Iterator[Relation]:
        """Latents, and the width of the text."""
        yield from super().relations(configs)
        transformer = configs["transformer"]
        yield Relation(
            "the transformer's caption_channels",
            transformer.get("caption_channels"),
            "the text_encoder's hidden_size",
            configs["text_encoder"].get("hidden_size"),
        )
        yield Relation(
            "the transformer's guidance_embeds",
            int(bool(transformer.get("guidance_embeds"))),
            "Sana's",
            0,
            {1: "Sana Sprint"},
        )

    def resolution(self, configs: Mapping[str, Mapping[str, Any]]) -> int:
        """The transformer's rows of latents, converted to pixels."""
        return rows_of_latents(configs["transformer"]) * self.downsampling(configs)

    def embed(self, pipeline: Any, texts: Sequence[str]) -> "dict[str, torch.Tensor]":
        """`sequence` and `mask`; the empty text, which guidance leads away from, stands alone."""
        empty = [position for position, text in enumerate(texts) if not text]
        plain = self._encoded(pipeline, texts, None) if empty else {}
        if len(empty) == len(texts):
            return plain
        parameters = inspect.signature(pipeline.__call__).parameters
        found = self._encoded(pipeline, texts, parameters["complex_human_instruction"].default)
        for name, tensor in plain.items():
            found[name][empty] = tensor[empty]
        return found

    def _encoded(
        self, pipeline: Any, texts: Sequence[str], instruction: list[str] | None
    ) -> "dict[str, torch.Tensor]":
        sequence, mask, _, _ = pipeline.encode_prompt(
            list(texts),
            do_classifier_free_guidance=False,
            device=pipeline.device,
            max_sequence_length=self.tokens,
            complex_human_instruction=instruction,
        )
        return {"sequence": sequence, "mask": mask}

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
            noisy,
            encoder_hidden_states=text["sequence"],
            encoder_attention_mask=text["mask"],
            timestep=times * denoiser.config.timestep_scale,
            return_dict=False,
        )[0]
        return predicted


BACKBONE = Sana()
