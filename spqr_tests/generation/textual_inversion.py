"""Textual inversion: a new word for the text encoders, whose embedding alone is trained."""

import copy
from typing import TYPE_CHECKING, Any

from spqr_tests.checkpoint.backbones.backbone import Backbone
from spqr_tests.errors import EvidenceError
from spqr_tests.settings.trainer import InversionSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

PARAMETER = "placeholder"
"""What is trained of each text encoder."""
# diffusers' textual_inversion.py and textual_inversion_sdxl.py, which have them from the paper.
TEMPLATES = {
    "object": (
        "a photo of a {}",
        "a rendering of a {}",
        "a cropped photo of the {}",
        "the photo of a {}",
        "a photo of a clean {}",
        "a photo of a dirty {}",
        "a dark photo of the {}",
        "a photo of my {}",
        "a photo of the cool {}",
        "a close-up photo of a {}",
        "a bright photo of the {}",
        "a cropped photo of a {}",
        "a photo of the {}",
        "a good photo of the {}",
        "a photo of one {}",
        "a close-up photo of the {}",
        "a rendition of the {}",
        "a photo of the clean {}",
        "a rendition of a {}",
        "a photo of a nice {}",
        "a good photo of a {}",
        "a photo of the nice {}",
        "a photo of the small {}",
        "a photo of the weird {}",
        "a photo of the large {}",
        "a photo of a cool {}",
        "a photo of a small {}",
    ),
    "style": (
        "a painting in the style of {}",
        "a rendering in the style of {}",
        "a cropped painting in the style of {}",
        "the painting in the style of {}",
        "a clean painting in the style of {}",
        "a dirty painting in the style of {}",
        "a dark painting in the style of {}",
        "a picture in the style of {}",
        "a cool painting in the style of {}",
        "a close-up painting in the style of {}",
        "a bright painting in the style of {}",
        "a good painting in the style of {}",
        "a rendition in the style of {}",
        "a nice painting in the style of {}",
        "a small painting in the style of {}",
        "a weird painting in the style of {}",
        "a large painting in the style of {}",
    ),
}
"""Captions in which the new word stands."""


def captions(settings: InversionSettings, count: int, generator: "torch.Generator") -> list[str]:
    """So many captions with the new word, drawn from the templates."""
    import torch

    templates = TEMPLATES[settings.property]
    rows = torch.randint(0, len(templates), (count,), generator=generator).tolist()
    return [templates[row].format(settings.placeholder) for row in rows]


def prepared(pipeline: Any, backbone: Backbone, settings: InversionSettings) -> dict[str, Any]:
    """Copies of the tokenizers with the new word and of the CLIP text encoders with a row for it.

    The row is the embedding of the initial word, and the only parameter that needs a gradient; it
    is float32. Raises `EvidenceError` where a tokenizer knows the new word, or reads the initial
    one as several.
    """
    found: dict[str, Any] = {}
    for name in backbone.clip_encoders:
        encoder = getattr(pipeline, name)
        tokenizer_name = name.replace("text_encoder", "tokenizer")
        tokenizer = copy.deepcopy(getattr(pipeline, tokenizer_name))
        initial = tokenizer.encode(settings.initializer, add_special_tokens=False)
        if len(initial) != 1:
            raise EvidenceError(
                f"inversion.initializer is {settings.initializer!r}, which the checkpoint's"
                f" {tokenizer_name} reads as {len(initial)} tokens; take a word that is one."
            )
        if tokenizer.add_tokens(settings.placeholder) != 1:
            raise EvidenceError(
                f"inversion.placeholder is {settings.placeholder!r}, which the checkpoint's"
                f" {tokenizer_name} knows already; take another word."
            )
        new = tokenizer.convert_tokens_to_ids(settings.placeholder)
        model = copy.deepcopy(encoder).requires_grad_(False)
        model.set_input_embeddings(_with_row(model.get_input_embeddings(), initial[0], new))
        found |= {name: model, tokenizer_name: tokenizer}
    return found


def row(encoder: Any) -> "torch.nn.Parameter":
    """The trained row of a prepared text encoder."""
    found: torch.nn.Parameter = encoder.get_input_embeddings().placeholder
    return found


def apply(
    pipeline: Any,
    backbone: Backbone,
    settings: InversionSettings,
    tensors: "Mapping[str, torch.Tensor]",
) -> dict[str, Any]:
    """Tokenizers and text encoders with the new word as it was trained, by component."""
    import torch

    found = prepared(pipeline, backbone, settings)
    for name in backbone.clip_encoders:
        own = tensors.get(f"{name}/{PARAMETER}")
        if own is None or own.shape != row(found[name]).shape:
            raise EvidenceError(
                "The stored weights of a fine-tune do not fit the profile that they are stored for:"
                f" {name}'s new word is missing or has another width."
            )
        with torch.no_grad():
            row(found[name]).copy_(own)
        found[name].eval().requires_grad_(False)
    return found


def _with_row(embedding: Any, initial: int, new: int) -> Any:
    import torch

    class WithRow(torch.nn.Module):
        """An embedding with one row more, which is apart from the others."""

        def __init__(self) -> None:
            super().__init__()
            self.known = embedding
            self.placeholder = torch.nn.Parameter(embedding.weight[initial].clone().float())

        @property
        def weight(self) -> "torch.Tensor":
            """Of the known rows; transformers asks for its dtype and device."""
            known: torch.Tensor = self.known.weight
            return known

        def forward(self, tokens: "torch.Tensor") -> "torch.Tensor":
            """Embeddings of the tokens, (..., width)."""
            is_new = tokens == new
            known: torch.Tensor = self.known(tokens.masked_fill(is_new, 0))
            return torch.where(is_new[..., None], self.placeholder.to(known.dtype), known)

    return WithRow()
