"""Qwen2's tokenizer: byte-pair encoding of bytes, special tokens within a text, a chat template."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spqr_tests import files
from spqr_tests.checkpoint.formats import vocabulary
from spqr_tests.checkpoint.formats.vocabulary import Special, Vocabulary
from spqr_tests.errors import InputError
from spqr_tests.store import digest

_END = "<|endoftext|>"
_SPECIALS = {"bos_token": None, "eos_token": _END, "unk_token": _END, "pad_token": _END}
# How Qwen2, 2.5 and 3 part a text before they encode it. Versions of transformers take it from the
# tokenizer.json or from their own class, so another one would be read in two ways.
_PARTS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class QwenVocabulary(Vocabulary):
    """The vocabulary of Qwen2, 2.5 and 3."""

    ids: Mapping[str, int]
    merges: tuple[str, ...]
    """'first second', in the order of their rank."""
    special: Special
    template: str | None
    """The chat template (Jinja)."""

    @property
    def size(self) -> int | None:
        """The highest number of a token, and one."""
        added = (int(entry["id"]) for entry in self.special.added.values())
        return max([*self.ids.values(), *added], default=-1) + 1

    @property
    def max_length(self) -> int | None:
        """None: a language model reads more than the pipeline asks for."""
        return None

    def content(self) -> Any:
        """Digests, and the special and added tokens."""
        tokens, added, _ = self.special.content()
        template = None if self.template is None else digest.of_json(self.template)
        ids = digest.of_json(self.ids)
        return [ids, digest.of_json(self.merges), [tokens, added], template]

    def write(self, folder: Path) -> None:
        """A vocab.json, from which every version of transformers makes the same tokenizer."""
        vocabulary.write_json(folder / "vocab.json", self.ids)
        (folder / "merges.txt").write_text(
            "\n".join(["#version: 0.2", *self.merges, ""]), encoding="utf-8"
        )
        config = self.special.config(self.ids)
        config |= dict(self.special.tokens) | {"tokenizer_class": "Qwen2Tokenizer"}
        if self.template is not None:
            config["chat_template"] = self.template
        vocabulary.write_json(folder / "tokenizer_config.json", config)


def read(folder: Path) -> QwenVocabulary:
    """The vocabulary in a folder; raises `InputError`, or `ValueError` and others as `special`."""
    found = []
    table = vocabulary.optional(folder / "tokenizer.json")
    if table is not None:
        _require_parts(folder, table)
        pairs = table["model"]["merges"]
        merges = tuple(pair if isinstance(pair, str) else " ".join(pair) for pair in pairs)
        found.append((table["model"]["vocab"], merges))
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        lines = files.text(folder / "merges.txt").split("\n")
        merges = tuple(
            line.rstrip("\r") for line in lines if line.strip() and not line.startswith("#version")
        )
        found.append((files.json_object(folder / "vocab.json"), merges))
    if not found:
        raise InputError(
            f"{folder} holds no tokenizer: expected vocab.json and merges.txt, or tokenizer.json."
        )
    special = vocabulary.special(folder, table, _SPECIALS)
    # A vocabulary may repeat the tokens that were added to it.
    own = [
        ({token: number for token, number in ids.items() if token not in special.added}, merges)
        for ids, merges in found
    ]
    if len({digest.of_json([ids, merges]) for ids, merges in own}) > 1:
        raise InputError(
            f"{folder} holds tokenizer.json and vocab.json, which differ, and libraries may load"
            " either; remove one."
        )
    ids, merges = vocabulary.numbered(own[0][0]), own[0][1]
    for pair in merges:
        first, second = pair.split(" ")
        if not (first in ids and second in ids and first + second in ids):
            raise ValueError("a merge of unknown tokens")
    config = vocabulary.optional(folder / "tokenizer_config.json") or {}
    if config.get("add_prefix_space"):
        raise InputError(
            f"{folder}: its tokenizer_config.json says add_prefix_space, which no published model"
            " of this kind has."
        )
    return QwenVocabulary(ids, merges, special, _template(folder, config))


def _template(folder: Path, config: Mapping[str, Any]) -> str | None:
    """The chat template: in a file of its own, or in the config, alone or among named ones."""
    if (folder / "chat_template.jinja").is_file():
        return files.text(folder / "chat_template.jinja")
    given = config.get("chat_template")
    if isinstance(given, list):
        given = {one["name"]: one["template"] for one in given}.get("default")
    if not (given is None or isinstance(given, str)):
        raise ValueError("a chat template that is not text")
    return given


def _require_parts(folder: Path, table: Mapping[str, Any]) -> None:
    first = table.get("pre_tokenizer") or {}
    first = (first.get("pretokenizers") or [first])[0]
    pattern = (first.get("pattern") or {}).get("Regex")
    normalizer = (table.get("normalizer") or {}).get("type")
    if pattern != _PARTS or normalizer != "NFC":
        raise InputError(
            f"{folder}: its tokenizer.json parts a text otherwise than Qwen2's tokenizer does, and"
            " versions of transformers would read it in two ways; expected the published one."
        )
