"""How strongly an SPM acts on a prompt: 'facilitated transport' (arXiv 2312.16145).

Computed as its authors' `infer_spm.py` does by default (`clipcos_tokenuni`): the larger of two
similarities of the prompt to an erased one, and of several erased prompts the largest.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from spqr_tests.errors import InputError

if TYPE_CHECKING:
    import torch


def strengths(
    tokenizer: Any,
    embedded: "Callable[[Sequence[str]], torch.Tensor]",
    prompts: Sequence[str],
    erased: Sequence[Sequence[str]],
) -> "torch.Tensor":
    """The strengths of adapters for prompts (prompts, adapters), float32, in [0, 1].

    `erased` are the prompts that each adapter erases. `embedded` gives what the denoiser reads of
    texts (texts or more, tokens, width), on any device. Each prompt is compared alone, so that it
    does not matter which others are asked for. `InputError` for an erased prompt without tokens.
    """
    import torch

    special = set(tokenizer.all_special_ids)
    concepts = [text for texts in erased for text in texts]
    own = {text: _tokens(tokenizer, text) - special for text in (*prompts, *concepts)}
    for text in concepts:
        if not own[text]:
            raise InputError(
                f"An SPM erases {text!r}, which has no token of its own in this checkpoint's"
                " tokenizer, so that no prompt can be compared with it."
            )
    vectors = {
        text: row.flatten().float().cpu()
        for text, row in zip(own, embedded(list(own)), strict=False)
    }

    def similarity(prompt: str, other: str) -> "torch.Tensor":
        shared = len(own[prompt] & own[other]) / len(own[other])
        cosine = torch.cosine_similarity(vectors[prompt], vectors[other], dim=0)
        return cosine.clamp(min=shared)

    return torch.stack(
        [
            torch.stack([max(similarity(prompt, one) for one in texts) for texts in erased])
            for prompt in prompts
        ]
    )


def _tokens(tokenizer: Any, text: str) -> set[int]:
    given = tokenizer(
        text, padding="max_length", max_length=tokenizer.model_max_length, truncation=True
    )
    return set(given.input_ids)
