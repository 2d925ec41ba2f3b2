"""Gemma's tokenizer: byte-pair encoding of sentence pieces, with bytes for what is not in it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spqr_tests.checkpoint.formats import vocabulary
from spqr_tests.checkpoint.formats.vocabulary import Special, Vocabulary
from spqr_tests.errors import InputError
from spqr_tests.store import digest


@dataclass(frozen=True)
class _Kind:
    """What a class does besides its vocabulary.

    Versions of transformers take it from the tokenizer.json or from the class, so a file that says
    something else would be read in two ways.
    """

    name: str
    specials: Mapping[str, str | None]
    normalizer: Mapping[str, Any]
    pre_tokenizer: Mapping[str, Any] | None
    adds: Mapping[str, bool]
    """Whether a beginning and an end are added to a text, unless the config says otherwise."""


_GEMMA = _Kind(
    "GemmaTokenizer",
    {"bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>", "pad_token": "<pad>"},
    {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
    {
        "type": "Split",
        "pattern": {"String": " "},
        "behavior": "MergedWithPrevious",
        "invert": False,
    },
    {"add_bos_token": True, "add_eos_token": False},
)
_KINDS = (_GEMMA,)


@dataclass(frozen=True)
class PiecePairs(Vocabulary):
    """The vocabulary of such a tokenizer, as its tokenizer.json holds it."""

    kind: _Kind
    table: Mapping[str, Any]
    special: Special
    adds: Mapping[str, bool]

    @property
    def size(self) -> int | None:
        """The highest number of a token, and one."""
        added = (int(entry["id"]) for entry in self.special.added.values())
        return max([*self.table["model"]["vocab"].values(), *added], default=-1) + 1

    @property
    def max_length(self) -> int | None:
        """None: a language model reads more than the pipeline asks for."""
        return None

    def content(self) -> Any:
        """Digests, the special and added tokens, and what is added to a text."""
        model = self.table["model"]
        pairs = [one if isinstance(one, str) else " ".join(one) for one in model["merges"]]
        tokens, added, _ = self.special.content()
        return [digest.of_json(model["vocab"]), digest.of_json(pairs), [tokens, added], self.adds]

    def write(self, folder: Path) -> None:
        """A tokenizer.json, which every version of transformers reads."""
        vocabulary.write_json(
            folder / "tokenizer.json", {**self.table, "truncation": None, "padding": None}
        )
        config = self.special.config(self.table["model"]["vocab"]) | dict(self.adds)
        config.pop("model_max_length", None)
        vocabulary.write_json(
            folder / "tokenizer_config.json", {"tokenizer_class": self.kind.name, **config}
        )


def reader(class_name: str) -> Callable[[Path], Vocabulary] | None:
    """What reads the folder of a tokenizer of this class; None for other classes."""
    for kind in _KINDS:
        if class_name.removesuffix("Fast") == kind.name:
            return lambda folder: _read(folder, kind)
    return None


def _read(folder: Path, kind: _Kind) -> PiecePairs:
    """Raises `InputError`, or `ValueError` and others as `vocabulary.special` does."""
    table = vocabulary.optional(folder / "tokenizer.json")
    if table is None:
        raise InputError(
            f"{folder} holds no tokenizer: expected tokenizer.json, which {kind.name}Fast saves."
        )
    model = table["model"]
    if (
        model.get("type", "BPE") != "BPE"
        or not model.get("byte_fallback")
        or table.get("normalizer") != kind.normalizer
        or table.get("pre_tokenizer") not in (kind.pre_tokenizer, None)
    ):
        raise InputError(
            f"{folder}: its tokenizer.json parts a text otherwise than {kind.name} does, and"
            " versions of transformers would read it in two ways; expected the published one."
        )
    vocabulary.numbered(model["vocab"])
    for pair in model["merges"]:
        first, second = pair.split(" ") if isinstance(pair, str) else pair
        if not all(piece in model["vocab"] for piece in (first, second, first + second)):
            raise ValueError("a merge of unknown tokens")
    special = vocabulary.special(folder, table, kind.specials)
    if lost := [
        one
        for one in special.tokens.values()
        if one is not None and one not in model["vocab"] and one not in special.added
    ]:
        raise InputError(f"{folder}: the special token {lost[0]!r} is not in its vocabulary.")
    config = vocabulary.optional(folder / "tokenizer_config.json") or {}
    adds = {
        key: bool(default if config.get(key) is None else config[key])
        for key, default in kind.adds.items()
    }
    return PiecePairs(kind, table, special, adds)
