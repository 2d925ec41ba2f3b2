"""Tokenizers: a folder's, or CLIP's from the vocabulary that ships with open_clip.

Whichever files a tokenizer was saved in, the same few values are read from them. They alone enter
the fingerprint, and they alone are written to the folder that transformers loads.
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from spqr_tests import files, quotes
from spqr_tests.checkpoint.formats import (
    chatglm_tokenizer,
    piece_pairs,
    published_clip,
    qwen_tokenizer,
    vocabulary,
)
from spqr_tests.checkpoint.formats.vocabulary import Special, Vocabulary
from spqr_tests.errors import InputError
from spqr_tests.store import digest

_START, _END = published_clip.START, published_clip.END
_CLIP_SPECIALS = {"bos_token": _START, "eos_token": _END, "unk_token": _END, "pad_token": _END}
_T5_SPECIALS = {"bos_token": None, "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
_FILES = (
    "tokenizer_config.json special_tokens_map.json added_tokens.json tokenizer.json vocab.json"
    " merges.txt spiece.model tokenizer.model chat_template.jinja"
).split()


class Tokenizer(Protocol):
    """Turns prompts into tokens."""

    @property
    def max_length(self) -> int | None:
        """The tokens of a prompt, the rest of which is cut; None where the pipeline decides."""

    def content(self) -> Any:
        """A JSON value for the fingerprint that describes what the tokenizer does.

        It is the same in every format.
        """

    def knows(self, token: str) -> bool:
        """Whether a token of this name is in its vocabulary."""

    def load(self) -> Any:
        """The transformers tokenizer."""


@dataclass(frozen=True)
class _Pairs(Vocabulary):
    """CLIP's vocabulary: byte-pair encoding."""

    ids: Mapping[str, int]
    merges: tuple[str, ...]
    """'first second', in the order of their rank."""
    special: Special

    @property
    def size(self) -> int | None:
        return max(self.ids.values(), default=-1) + 1

    def knows(self, token: str) -> bool:
        return token in self.ids

    def content(self) -> Any:
        return [digest.of_json(self.ids), digest.of_json(self.merges), self.special.content()]

    def write(self, folder: Path) -> None:
        vocabulary.write_json(folder / "vocab.json", self.ids)
        (folder / "merges.txt").write_text(
            "\n".join(["#version: 0.2", *self.merges, ""]), encoding="utf-8"
        )
        vocabulary.write_json(
            folder / "tokenizer_config.json",
            {"tokenizer_class": "CLIPTokenizer", **self.special.config(self.ids)},
        )
        vocabulary.write_json(folder / "special_tokens_map.json", self.special.tokens)


@dataclass(frozen=True)
class _Pieces(Vocabulary):
    """T5's vocabulary: sentence pieces with their scores, as tokenizer.json holds them."""

    table: Mapping[str, Any]
    special: Special

    @property
    def size(self) -> int | None:
        numbers = (int(entry["id"]) for entry in self.special.added.values())
        return max([len(self.table["model"]["vocab"]), *(number + 1 for number in numbers)])

    def content(self) -> Any:
        model = self.table["model"]
        return [
            digest.of_json([model["vocab"], model.get("unk_id")]),
            _charsmap(self.table),
            self.special.content(),
        ]

    def write(self, folder: Path) -> None:
        vocabulary.write_json(
            folder / "tokenizer.json", {**self.table, "truncation": None, "padding": None}
        )
        ids = {piece: number for number, (piece, _) in enumerate(self.table["model"]["vocab"])}
        _write_t5_config(folder, self.special, ids)


@dataclass(frozen=True)
class _Sentencepiece(Vocabulary):
    """T5's vocabulary, as sentencepiece's own binary file holds it."""

    path: Path
    special: Special

    @property
    def size(self) -> int | None:
        return None

    def content(self) -> Any:
        return [digest.of_file(self.path), self.special.content()]

    def write(self, folder: Path) -> None:
        (folder / "spiece.model").write_bytes(files.data(self.path))
        _write_t5_config(folder, self.special, {})


class FolderTokenizer:
    """The tokenizer in a folder, for a class of transformers (`CLIPTokenizer`, `T5TokenizerFast`).

    `InputError` when its files are missing or do not belong to such a tokenizer.
    """

    def __init__(self, class_name: str, folder: Path) -> None:
        self._class_name = class_name
        self._folder = folder
        for name in _FILES:
            # Whether or not it is read, since the others may repeat what it says.
            if (folder / name).is_file():
                files.start(folder / name)
        try:
            self._vocabulary = _reader(class_name)(folder)
            self._content = self._vocabulary.content()
            self._size = self._vocabulary.size
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{folder} cannot be loaded as {class_name}: its files do not belong to such a"
                " tokenizer."
            ) from error

    @property
    def max_length(self) -> int | None:
        """The tokens of a prompt; None for T5 and for language models."""
        return self._vocabulary.max_length

    @property
    def size(self) -> int | None:
        """How many tokens an encoder must know; None for a sentencepiece file."""
        return self._size

    def knows(self, token: str) -> bool:
        """Whether a token of this name is in its vocabulary; asked of CLIP's alone."""
        return self._vocabulary.knows(token)

    def content(self) -> Any:
        """Digests of its vocabulary, its special and added tokens and its length."""
        return self._content

    def load(self) -> Any:
        """The transformers tokenizer; `InputError` when the library cannot load the files."""
        return _load(self._class_name, self._vocabulary, self._folder)


class ClipVocabulary:
    """The tokenizer of the published CLIP models.

    It has 49,408 tokens. A prompt has 77, and is padded with the token `pad`.
    """

    def __init__(self, pad: str) -> None:
        ids, merges = published_clip.ids_and_merges()
        if pad not in ids:
            raise ValueError(f"{quotes.shown(pad)} is not a token of CLIP")
        self._vocabulary = _Pairs(ids, merges, Special(_CLIP_SPECIALS | {"pad_token": pad}, {}, 77))

    @property
    def max_length(self) -> int | None:
        """The tokens of a prompt."""
        return self._vocabulary.special.max_length

    def knows(self, token: str) -> bool:
        """Whether a token of this name is in its vocabulary; asked of CLIP's alone."""
        return self._vocabulary.knows(token)

    def content(self) -> Any:
        """Digests of its vocabulary, its special tokens and its length.

        They equal those of a folder with the same tokenizer.
        """
        return self._vocabulary.content()

    def load(self) -> Any:
        """The transformers tokenizer."""
        return _load("CLIPTokenizer", self._vocabulary, Path("the vocabulary of open_clip"))


def _reader(class_name: str) -> Callable[[Path], Vocabulary]:
    """What reads the folder of a tokenizer's class."""
    if class_name.startswith("CLIP"):
        return _clip
    if class_name == chatglm_tokenizer.NAME:
        return chatglm_tokenizer.read
    if class_name.startswith("Qwen2"):
        return qwen_tokenizer.read
    return piece_pairs.reader(class_name) or _t5


def _load(class_name: str, words: Vocabulary, source: Path) -> Any:
    import transformers

    with tempfile.TemporaryDirectory() as folder:
        try:
            words.write(Path(folder))
            if isinstance(words, piece_pairs.PiecePairs | chatglm_tokenizer.ChatGlm):
                return words.load(Path(folder))
            # Transformers 4 has two of each class. Those in Python split some texts differently,
            # and transformers 5 no longer has them.
            fast = getattr(transformers, f"{class_name.removesuffix('Fast')}Fast")
            tokenizer = fast.from_pretrained(folder, local_files_only=True)
        except InputError:
            raise
        except Exception as error:  # the tokenizers library raises anything
            reason = (str(error) or repr(error)).splitlines()[0]
            raise InputError(f"{source} cannot be loaded as {class_name}: {reason}") from error
    tokenizer.name_or_path = str(source)
    return tokenizer


def _clip(folder: Path) -> _Pairs:
    found = []
    table = vocabulary.optional(folder / "tokenizer.json")
    if table is not None:
        model = table["model"]
        pairs = (pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"])
        found.append((vocabulary.numbered(model["vocab"]), tuple(pairs)))
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        lines = files.text(folder / "merges.txt").split("\n")
        merges = tuple(
            line.rstrip("\r") for line in lines if line.strip() and not line.startswith("#version")
        )
        found.append((vocabulary.numbered(files.json_object(folder / "vocab.json")), merges))
    if not found:
        raise InputError(
            f"{folder} holds no tokenizer: expected vocab.json and merges.txt, or tokenizer.json."
        )
    special = vocabulary.special(folder, table, _CLIP_SPECIALS)
    more = {token: entry["id"] for token, entry in special.added.items()}
    different = {digest.of_json([ids | more, merges]) for ids, merges in found}
    if len(different) > 1:
        raise InputError(
            f"{folder} holds tokenizer.json and vocab.json, which differ, and libraries may load"
            " either; remove one."
        )
    ids = found[0][0] | vocabulary.numbered(more)
    for pair in found[0][1]:
        first, second = pair.split(" ")
        if not (first in ids and second in ids and first + second in ids):
            raise ValueError("a merge of unknown tokens")
    if special.max_length is None:
        raise InputError(
            f"{folder}: its tokenizer_config.json must give model_max_length, the number of tokens"
            " in a prompt."
        )
    if strange := [token for token in special.tokens.values() if token is None or token not in ids]:
        raise InputError(
            f"{folder}: the special token {quotes.shown(strange[0])} is not in its vocabulary."
        )
    return _Pairs(ids, found[0][1], special)


def _t5(folder: Path) -> Vocabulary:
    table = vocabulary.optional(folder / "tokenizer.json")
    special = vocabulary.special(folder, table, _T5_SPECIALS)
    if table is not None:
        if not all(
            isinstance(piece, str) and isinstance(score, int | float)
            for piece, score in table["model"]["vocab"]
        ):
            raise ValueError("a vocabulary of other values")
        return _Pieces(table, special)
    if not (folder / "spiece.model").is_file():
        raise InputError(f"{folder} holds no tokenizer: expected tokenizer.json or spiece.model.")
    return _Sentencepiece(folder / "spiece.model", special)


def _charsmap(table: Mapping[str, Any]) -> str | None:
    """sentencepiece's precompiled normalisation, wherever the version of transformers puts it."""
    normalizer = table.get("normalizer") or {}
    for one in normalizer.get("normalizers", [normalizer]):
        if one.get("type") == "Precompiled":
            return str(one["precompiled_charsmap"])
    return None


def _write_t5_config(folder: Path, special: Special, ids: Mapping[str, int]) -> None:
    sentinels = sorted(
        token for token in {*ids, *special.added} if vocabulary.SENTINEL.fullmatch(token)
    )
    config = special.config(
        {**ids, **{token: entry["id"] for token, entry in special.added.items()}}
    )
    config |= {
        "tokenizer_class": "T5Tokenizer",
        "extra_ids": len(sentinels),
        "additional_special_tokens": sentinels,
    }
    vocabulary.write_json(folder / "tokenizer_config.json", config)
