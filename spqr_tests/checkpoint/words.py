"""Words that text encoders learned by textual inversion, and their place in a pipeline."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spqr_tests import quotes
from spqr_tests.checkpoint.formats.tensor import ModelTensor
from spqr_tests.errors import InputError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Word:
    """A word, and the vectors that stand for it in each text encoder (arXiv 2208.01618)."""

    text: str
    vectors: Mapping[str, ModelTensor]
    """(n, width) by text encoder; a prompt with the word has n tokens for it."""

    def content(self) -> list[Any]:
        """A JSON value for the fingerprint."""
        vectors = {name: tensor.digest() for name, tensor in self.vectors.items()}
        return [self.text, dict(sorted(vectors.items()))]


def apply(pipeline: Any, words: Iterable[Word]) -> None:
    """Teach a pipeline's tokenizers and text encoders some words, as diffusers does.

    `InputError` for vectors that are not finite, and where the libraries cannot add a word.
    """
    import torch

    for word in words:
        for name, stored in word.vectors.items():
            vectors = stored.tensor()
            if not torch.isfinite(vectors).all():
                raise InputError(
                    f"{stored.file.path}: the vectors of {quotes.shown(word.text)} are not all"
                    " finite numbers; the file is damaged."
                )
            encoder = getattr(pipeline, name)
            # Resizing draws numbers for the new rows, which are then replaced.
            with torch.random.fork_rng(devices=[]):
                _load(pipeline, word, vectors, name, stored)
            encoder.eval().requires_grad_(False)


def _load(
    pipeline: Any, word: Word, vectors: "torch.Tensor", name: str, stored: ModelTensor
) -> None:
    try:
        pipeline.load_textual_inversion(
            {word.text: vectors},
            token=word.text,
            tokenizer=getattr(pipeline, name.replace("text_encoder", "tokenizer")),
            text_encoder=getattr(pipeline, name),
        )
    except Exception as error:  # tokenizers raise anything
        reason = (str(error) or repr(error)).splitlines()[0]
        raise InputError(
            f"{stored.file.path}: the word {quotes.shown(word.text)} cannot be added to the"
            f" {name}: {reason}"
        ) from error
