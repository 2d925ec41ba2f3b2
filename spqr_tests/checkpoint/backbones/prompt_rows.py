"""Prompts as rows of a language model's hidden states: as many as a prompt has tokens.

A pipeline pads the prompts of a batch to the longest of them, so that the last bits of what one of
them gives would depend on the others. Here each is encoded and sampled alone, and padded to one
length only while it is kept.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spqr_tests.checkpoint.backbones.backbone import Backbone
from spqr_tests.checkpoint.backbones.text_answers import answering

if TYPE_CHECKING:
    import torch

QWEN_TOKENIZERS = frozenset({"Qwen2Tokenizer", "Qwen2TokenizerFast"})


class PromptRows(Backbone):
    """A backbone whose text is `sequence` (n, `tokens`, width) and `mask` (n, `tokens`).

    The mask is 1 where a prompt has a token and 0 behind its end.
    """

    tokens: int
    """The most tokens of a prompt, those of its template included."""

    def encoded(self, pipeline: Any, text: str, device: "torch.device") -> "torch.Tensor":
        """One prompt's hidden states (tokens, width), from the pipeline's own `encode_prompt`."""
        raise NotImplementedError

    def embed(self, pipeline: Any, texts: Sequence[str]) -> "dict[str, torch.Tensor]":
        """`sequence` (n, tokens, width) and `mask` (n, tokens)."""
        import torch

        device = pipeline.device
        asked = answering(pipeline) if device.type == "meta" else pipeline
        cpu = torch.device("cpu")
        found = {
            text: self.encoded(asked, text, cpu if device.type == "meta" else device)
            for text in dict.fromkeys(texts)
        }
        rows = [found[text] for text in texts]
        sequence = rows[0].new_zeros(len(rows), self.tokens, rows[0].shape[-1])
        mask = rows[0].new_zeros(len(rows), self.tokens)
        for number, row in enumerate(rows):
            sequence[number, : len(row)] = row
            mask[number, : len(row)] = 1
        # On the meta device the mask keeps its numbers: they decide how much is computed.
        return {"sequence": sequence.to(device), "mask": mask}

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
        """The latents that the pipeline samples of each prompt alone."""
        import torch

        guided = negative if guidance > self.unguided else {}
        return torch.cat(
            [
                super(PromptRows, self).latents(
                    pipeline,
                    _one(text, number),
                    _one(guided, number),
                    steps=steps,
                    guidance=guidance,
                    size=size,
                    generators=[generator],
                )
                for number, generator in enumerate(generators)
            ]
        )


def rows(text: "dict[str, torch.Tensor]") -> "list[torch.Tensor]":
    """The hidden states of each prompt (tokens, width), without padding."""
    return [
        sequence[: int(mask.sum())]
        for sequence, mask in zip(text["sequence"], text["mask"], strict=True)
    ]


def trimmed(text: "dict[str, torch.Tensor]") -> "tuple[torch.Tensor, torch.Tensor | None]":
    """`sequence` up to the end of the longest prompt, and which of it are tokens (n, tokens).

    None stands for all of them.
    """
    lengths = text["mask"].sum(dim=1).long()
    longest = int(lengths.max())
    mask = text["mask"][:, :longest].bool()
    return text["sequence"][:, :longest], None if mask.all() else mask


def _one(text: "dict[str, torch.Tensor]", number: int) -> "dict[str, torch.Tensor]":
    return {name: tensor[number : number + 1] for name, tensor in text.items()}
