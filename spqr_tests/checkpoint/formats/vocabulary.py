"""What the files of every kind of tokenizer say: special and added tokens, and the length."""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spqr_tests import files

SPECIALS = ("bos_token", "eos_token", "unk_token", "pad_token")
FLAGS = ("lstrip", "rstrip", "single_word", "normalized", "special")
# T5's placeholders for its own training. No prompt holds them, and versions of transformers save
# them differently.
SENTINEL = re.compile(r"<extra_id_\d+>")
_MAX_LENGTH = 2**20


@dataclass(frozen=True)
class Special:
    """The settings of every kind of tokenizer, except its vocabulary."""

    tokens: Mapping[str, str | None]
    """The tokens by the names in `SPECIALS`."""
    added: Mapping[str, Mapping[str, Any]]
    """The `id` and flags of the tokens that were added to the vocabulary."""
    max_length: int | None

    def content(self) -> Any:
        """A JSON value that is the same in every format."""
        added = [
            [token, entry["id"], *(bool(entry[flag]) for flag in FLAGS)]
            for token, entry in self.added.items()
            if token not in self.tokens.values() and not SENTINEL.fullmatch(token)
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
    """A tokenizer's vocabulary, its special tokens, and how transformers is given them."""

    special: Special

    @property
    @abstractmethod
    def size(self) -> int | None:
        """The highest number of a token, and one; None when the file does not say."""

    @property
    def max_length(self) -> int | None:
        """The tokens of a prompt, the rest of which is cut; None where the pipeline decides."""
        return self.special.max_length

    def knows(self, token: str) -> bool:
        """Whether a token of this name is in it; asked of CLIP's alone."""
        del token
        return False

    @abstractmethod
    def content(self) -> Any:
        """A JSON value that is the same in every format."""

    @abstractmethod
    def write(self, folder: Path) -> None:
        """Write files that every version of transformers loads."""


def special(
    folder: Path, table: Mapping[str, Any] | None, default: Mapping[str, str | None]
) -> Special:
    """The settings in a tokenizer's folder; `table` is its tokenizer.json, if it has one.

    `default` has the special tokens of the class. Raises `ValueError` or `KeyError` for others than
    a tokenizer's files.
    """
    config = optional(folder / "tokenizer_config.json") or {}
    named = {**config}
    entries: list[tuple[str, Mapping[str, Any]]] = []
    if "added_tokens_decoder" in config:
        entries += [
            (entry["content"], {**entry, "id": int(number)})
            for number, entry in config["added_tokens_decoder"].items()
        ]
    else:
        # As in transformers: without added_tokens_decoder, the older files decide.
        named |= optional(folder / "special_tokens_map.json") or {}
        older = optional(folder / "added_tokens.json") or {}
        entries += [(token, {"id": number, "normalized": True}) for token, number in older.items()]
        entries += [(entry["content"], entry) for entry in (table or {}).get("added_tokens", [])]
    tokens = {name: _text(named.get(name, default[name])) for name in SPECIALS}
    added = {token: dict.fromkeys(FLAGS, False) | dict(entry) for token, entry in entries}
    numbered({token: entry["id"] for token, entry in added.items()})
    length = config.get("model_max_length")
    # Transformers writes 10^30 if there is no limit.
    bounded = type(length) is int and 0 < length <= _MAX_LENGTH
    return Special(tokens, added, length if bounded else None)


def numbered(table: Mapping[str, Any]) -> dict[str, int]:
    """Tokens with their numbers; `ValueError` where one is not numbered."""
    if not all(type(number) is int and 0 <= number <= _MAX_LENGTH for number in table.values()):
        raise ValueError("tokens that are not numbered")
    return dict(table)


def optional(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None where there is no file."""
    return files.json_object(path) if path.is_file() else None


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, its letters as they are."""
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def _text(token: Any) -> str | None:
    """A special token's text, which is given alone or in a table with its flags."""
    text = token["content"] if isinstance(token, dict) else token
    if not (text is None or isinstance(text, str)):
        raise ValueError("a token that is not text")
    return text
