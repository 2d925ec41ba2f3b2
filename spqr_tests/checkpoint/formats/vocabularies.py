"""Vocabularies of tokenizers, as published files hold them and as transformers loads them."""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spqr_tests import files
from spqr_tests.store import digest

FLAGS = ("lstrip", "rstrip", "single_word", "normalized", "special")
# T5's placeholders for its own training. No prompt holds them, and versions of transformers save
# them differently.
_SENTINEL = re.compile(r"<extra_id_\d+>")


@dataclass(frozen=True)
class Special:
    """The settings of every kind of tokenizer, except its vocabulary."""

    tokens: Mapping[str, str | None]
    """The tokens by their names: `bos_token`, `eos_token`, `unk_token`, `pad_token`."""
    added: Mapping[str, Mapping[str, Any]]
    """The `id` and flags of the tokens that were added to the vocabulary."""
    max_length: int | None

    def content(self) -> Any:
        """Digests of its tokens, and the special ones."""
        added = [
            [token, entry["id"], *(bool(entry[flag]) for flag in FLAGS)]
            for token, entry in self.added.items()
            if token not in self.tokens.values() and not _SENTINEL.fullmatch(token)
        ]
        return [dict(self.tokens), sorted(added), self.max_length]

    def config(self, ids: Mapping[str, int]) -> dict[str, Any]:
        """A tokenizer_config.json that means the same to every version of transformers."""
        plain = dict.fromkeys(FLAGS, False) | {"special": True}
        entries = {
            ids[token]: {"content": token, **plain}
            for token in self.tokens.values()
            if token is not None and token in ids
        }
        for token, entry in self.added.items():
            entries.setdefault(
                entry["id"], {"content": token, **{flag: bool(entry[flag]) for flag in FLAGS}}
            )
        config: dict[str, Any] = {
            name: token for name, token in self.tokens.items() if token is not None
        }
        if self.max_length is not None:
            config["model_max_length"] = self.max_length
        return config | {
            "added_tokens_decoder": {str(number): entries[number] for number in sorted(entries)}
        }


class Vocabulary(ABC):
    """The tokens of a tokenizer, and how texts are divided into them."""

    special: Special

    @property
    @abstractmethod
    def size(self) -> int | None:
        """The highest number of a token, and one; None when the file does not say."""

    def knows(self, token: str) -> bool:
        """Whether a token of this name is in the vocabulary; False for T5's, which nobody asks."""
        del token
        return False

    @abstractmethod
    def content(self) -> Any:
        """A JSON value for the fingerprint."""

    @abstractmethod
    def write(self, folder: Path) -> None:
        """Write files that every version of transformers loads."""


@dataclass(frozen=True)
class Pairs(Vocabulary):
    """CLIP's vocabulary: byte-pair encoding."""

    ids: Mapping[str, int]
    merges: tuple[str, ...]
    """'first second', in the order of their rank."""
    special: Special

    @property
    def size(self) -> int | None:
        """The highest number of a token, and one; None when the file does not say."""
        return max(self.ids.values(), default=-1) + 1

    def knows(self, token: str) -> bool:
        """Whether it is one of the tokens or of their pieces."""
        return token in self.ids

    def content(self) -> Any:
        """Digests of its tokens, and the special ones."""
        return [digest.of_json(self.ids), digest.of_json(self.merges), self.special.content()]

    def write(self, folder: Path) -> None:
        """Write files that every version of transformers loads."""
        _write_json(folder / "vocab.json", self.ids)
        (folder / "merges.txt").write_text(
            "\n".join(["#version: 0.2", *self.merges, ""]), encoding="utf-8"
        )
        _write_json(
            folder / "tokenizer_config.json",
            {"tokenizer_class": "CLIPTokenizer", **self.special.config(self.ids)},
        )
        _write_json(folder / "special_tokens_map.json", self.special.tokens)


@dataclass(frozen=True)
class Pieces(Vocabulary):
    """T5's vocabulary: sentence pieces with their scores, as tokenizer.json holds them."""

    table: Mapping[str, Any]
    special: Special

    @property
    def size(self) -> int | None:
        """The highest number of a token, and one; None when the file does not say."""
        numbers = (int(entry["id"]) for entry in self.special.added.values())
        return max([len(self.table["model"]["vocab"]), *(number + 1 for number in numbers)])

    def content(self) -> Any:
        """Digests of its tokens, and the special ones."""
        model = self.table["model"]
        return [
            digest.of_json([model["vocab"], model.get("unk_id")]),
            _charsmap(self.table),
            self.special.content(),
        ]

    def write(self, folder: Path) -> None:
        """Write files that every version of transformers loads."""
        _write_json(folder / "tokenizer.json", {**self.table, "truncation": None, "padding": None})
        ids = {piece: number for number, (piece, _) in enumerate(self.table["model"]["vocab"])}
        _write_t5_config(folder, self.special, ids)


@dataclass(frozen=True)
class Sentencepiece(Vocabulary):
    """T5's vocabulary, as sentencepiece's own binary file holds it."""

    path: Path
    special: Special

    @property
    def size(self) -> int | None:
        """The highest number of a token, and one; None when the file does not say."""
        return None

    def content(self) -> Any:
        """Digests of its tokens, and the special ones."""
        return [digest.of_file(self.path), self.special.content()]

    def write(self, folder: Path) -> None:
        """Write files that every version of transformers loads."""
        (folder / "spiece.model").write_bytes(files.data(self.path))
        _write_t5_config(folder, self.special, {})


def _charsmap(table: Mapping[str, Any]) -> str | None:
    """sentencepiece's precompiled normalisation, wherever the version of transformers puts it."""
    normalizer = table.get("normalizer") or {}
    for one in normalizer.get("normalizers", [normalizer]):
        if one.get("type") == "Precompiled":
            return str(one["precompiled_charsmap"])
    return None


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def _write_t5_config(folder: Path, special: Special, ids: Mapping[str, int]) -> None:
    sentinels = sorted(token for token in {*ids, *special.added} if _SENTINEL.fullmatch(token))
    config = special.config(
        {**ids, **{token: entry["id"] for token, entry in special.added.items()}}
    )
    config |= {
        "tokenizer_class": "T5Tokenizer",
        "extra_ids": len(sentinels),
        "additional_special_tokens": sentinels,
    }
    _write_json(folder / "tokenizer_config.json", config)
