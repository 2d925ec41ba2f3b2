"""Backbones with one text encoder whose padding is masked: PixArt, Sana and their kin."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spqr_tests.checkpoint.backbones.backbone import Backbone

if TYPE_CHECKING:
    import torch


class MaskedText(Backbone):
    """Prompts are padded to `tokens`; the denoiser does not attend to the padding."""

    tokens: int
    """The tokens of a prompt, the pipeline's default."""

    def token_limit(self, tokenizer: str, configs: Mapping[str, Mapping[str, Any]]) -> int | None:
        """The pipeline's default."""
        del tokenizer, configs
        return self.tokens

    def embed(self, pipeline: Any, texts: Sequence[str]) -> "dict[str, torch.Tensor]":
        """`sequence` (n, tokens, width), `mask` (n, tokens): 1 where there is text."""
        sequence, mask, _, _ = pipeline.encode_prompt(
            list(texts),
            do_classifier_free_guidance=False,
            device=pipeline.device,
            max_sequence_length=self.tokens,
        )
        return {"sequence": sequence, "mask": mask}

    def conditions(
        self, text: "dict[str, torch.Tensor]", negative: "dict[str, torch.Tensor]"
    ) -> dict[str, Any]:
        """Both embeddings with their masks, for images of exactly the size that was asked for.

        The pipelines would generate the nearest of the sizes they were trained on, and resize.
        """
        return {
            "prompt_embeds": text["sequence"],
            "prompt_attention_mask": text["mask"],
            "negative_prompt_embeds": negative["sequence"],
            "negative_prompt_attention_mask": negative["mask"],
            # They look at a negative prompt's text where there is one.
            "negative_prompt": None,
            "use_resolution_binning": False,
        }
