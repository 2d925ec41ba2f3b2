"""Text readers: how many tokens a text has for an encoder, and how many of them it reads.

What comes after the limit is cut off without a word, and decides nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from spqr_tests.checkpoint.backbones.chat import Written
from spqr_tests.checkpoint.formats.tokenizers import ClipVocabulary, Tokenizer
from spqr_tests.checkpoint.parts import Parts
from spqr_tests.store import digest, libraries
from spqr_tests.store.store import Store

KIND = "tokens"
_LIBRARIES = ("transformers", "tokenizers")
_SPECIAL = 3
"""Tokens that an encoder adds, at most: two special ones, and the space before the first word."""


class TextReader:
    """A text encoder's tokenizer, and the number of tokens that the encoder reads.

    `load` gives a fast tokenizer of transformers or a tokenizer of the library tokenizers; it is
    called once there is a text that may be too long. `content` gives what decides its counts.
    `written` is what the encoder is given of a text, up to the text's end, where that is more.
    """

    def __init__(
        self,
        name: str,
        limit: int,
        load: Callable[[], Any],
        content: Callable[[], Any],
        written: Written | None = None,
    ) -> None:
        self.name = name
        self.limit = limit
        self._load = load
        self._content = content
        self._written = written

    def tokens(self, texts: Sequence[str], store: Store) -> list[int]:
        """The number of tokens of each text, those that the encoder adds included.

        Of a text that is short enough by its letters alone, an upper limit. The store keeps the
        counts of the others: loading a tokenizer takes longer than all else that is checked of
        prompts.
        """
        # What a template adds is known once its tokenizer is there.
        counts = [_most(text) if self._written is None else self.limit + 1 for text in texts]
        long = [position for position, count in enumerate(counts) if count > self.limit]
        if long:
            asked = [texts[position] for position in long]
            key = digest.of_json([KIND, self._content(), libraries.minor(_LIBRARIES), asked])
            found = store.once(KIND, key, lambda: self._count(asked))
            for position, count in zip(long, found, strict=True):
                counts[position] = count
        return counts

    def _count(self, texts: Sequence[str]) -> list[int]:
        if self._written is not None:
            texts = [self._written(self._loaded, text) for text in texts]
        if not hasattr(self._tokenizer, "encode_batch"):  # one that is written in Python
            return [len(self._tokenizer(text)["input_ids"]) for text in texts]
        return [len(one.ids) for one in self._tokenizer.encode_batch(texts)]

    @cached_property
    def _loaded(self) -> Any:
        return self._load()

    @cached_property
    def _tokenizer(self) -> Any:
        tokenizer = getattr(self._loaded, "backend_tokenizer", self._loaded)
        if not hasattr(tokenizer, "encode_batch"):
            return self._loaded
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer


def of(parts: Parts) -> list[TextReader]:
    """The readers of a pipeline, by the names of its text encoders."""
    configs = {name: model.config for name, model in parts.models.items()}
    found = []
    for name, tokenizer in parts.tokenizers.items():
        limit = parts.backbone.token_limit(name, configs) or tokenizer.max_length
        if limit is not None:
            encoder = name.replace("tokenizer", "text_encoder")
            content = partial(_content, parts, tokenizer)
            written = parts.backbone.written(name)
            words = {
                word.text: word.vectors[encoder].shape[0]
                for word in parts.words
                if encoder in word.vectors
            }
            if words:  # of families whose encoders read the text alone
                content, written = partial(_learned, content, words), partial(_spelled, words)
            found.append(TextReader(encoder, limit, tokenizer.load, content, written))
    return found


def _content(parts: Parts, tokenizer: Tokenizer) -> Any:
    """A tokenizer's content, and whose pipeline writes the text for it."""
    return [tokenizer.content(), parts.backbone.name]


def _learned(content: Callable[[], Any], words: Mapping[str, int]) -> Any:
    return [content(), dict(words)]


def _spelled(words: Mapping[str, int], tokenizer: Any, text: str) -> str:
    """The text with as many tokens in place of each learned word as it has vectors."""
    del tokenizer
    for word, count in words.items():
        text = text.replace(word, " !" * count + " ")
    return text


def of_file(name: str, limit: int, path: Path) -> TextReader:
    """The reader with the tokenizer in a `tokenizer.json`."""

    def load() -> Any:
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(path))

    return TextReader(name, limit, load, lambda: digest.of_file(path))


def of_clip(name: str, limit: int) -> TextReader:
    """The reader with the tokenizer of the published CLIP models."""
    vocabulary = ClipVocabulary("!")
    return TextReader(name, limit, vocabulary.load, vocabulary.content)


def _most(text: str) -> int:
    """More tokens than a text can have: none is shorter than a byte, as all vocabularies here are.

    Normalisation may lengthen what is not ASCII.
    """
    return len(text.encode()) * (1 if text.isascii() else 2) + _SPECIAL
