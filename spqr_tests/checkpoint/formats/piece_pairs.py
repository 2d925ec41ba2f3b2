"""Gemma's and Llama's tokenizers: byte-pair encoding of sentence pieces, and bytes for the rest."""

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
    """What a class does besides its vocabulary."""

    name: str
    specials: Mapping[str, str | None]
    normalizer: Mapping[str, Any] | None
    """How a text is prepared; None where each file says it."""
    pre_tokenizer: Mapping[str, Any] | None
    adds: Mapping[str, bool]
    """Whether a beginning and an end are added to a text where its files do not say."""


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
_LLAMA = _Kind(
    "LlamaTokenizer",
    {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": None},
    None,
    None,
    {"add_bos_token": True, "add_eos_token": False},
)
_KINDS = (_GEMMA, _LLAMA)
_SIDES = ("left", "right")


@dataclass(frozen=True)
class PiecePairs(Vocabulary):
    """The vocabulary of such a tokenizer, as its tokenizer.json holds it."""

    kind: _Kind
    table: Mapping[str, Any]
    special: Special
    adds: Mapping[str, bool]
    side: str
    """Where a short text is padded, unless the pipeline says it."""

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
        prepared = None
        if self.kind.normalizer is None:
            prepared = [self.table.get("normalizer"), self.table.get("pre_tokenizer"), self.side]
        return [
            digest.of_json(model["vocab"]),
            digest.of_json(pairs),
            [tokens, added],
            dict(self.adds),
            prepared,
        ]

    def write(self, folder: Path) -> None:
        """A tokenizer.json, which every version of transformers reads."""
        table = {**self.table, "truncation": None, "padding": None}
        table["post_processor"] = self._post_processor()
        vocabulary.write_json(folder / "tokenizer.json", table)
        config = self.special.config(self.table["model"]["vocab"])
        config.pop("model_max_length", None)
        # The class of any tokenizer.json: those of one kind replace what the file says by their
        # own, in some versions of transformers.
        config |= {"tokenizer_class": "PreTrainedTokenizerFast", "padding_side": self.side}
        vocabulary.write_json(folder / "tokenizer_config.json", config)

    def load(self, folder: Path) -> Any:
        """The transformers tokenizer of a folder that `write` wrote."""
        from transformers import PreTrainedTokenizerFast

        return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)

    def _post_processor(self) -> dict[str, Any]:
        """What adds the beginning and the end, as the class would make it of its settings."""
        ids = {**self.table["model"]["vocab"]}
        ids |= {token: int(entry["id"]) for token, entry in self.special.added.items()}
        added = {}
        for key in ("bos_token", "eos_token"):
            token = self.special.tokens[key]
            if self.adds[f"add_{key}"]:
                if token is None:
                    raise ValueError("a token that is added and not named")
                added[key] = token
        single: list[Any] = [{"Sequence": {"id": "A", "type_id": 0}}]
        if "bos_token" in added:
            single.insert(0, {"SpecialToken": {"id": added["bos_token"], "type_id": 0}})
        if "eos_token" in added:
            single.append({"SpecialToken": {"id": added["eos_token"], "type_id": 0}})
        known = {
            token: {"id": token, "ids": [ids[token]], "tokens": [token]} for token in added.values()
        }
        return {
            "type": "TemplateProcessing",
            "single": single,
            "pair": [*single, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": known,
        }


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
        or (
            kind.normalizer is not None
            and (
                table.get("normalizer") != kind.normalizer
                or table.get("pre_tokenizer") not in (kind.pre_tokenizer, None)
            )
        )
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
    adds = {**kind.adds, **_added(table)}
    adds |= {key: bool(config[key]) for key in adds if config.get(key) is not None}
    side = config.get("padding_side", _SIDES[0])
    if side not in _SIDES:
        raise ValueError("a text is padded on a side that is none")
    return PiecePairs(kind, table, special, adds, side)


def _added(table: Mapping[str, Any]) -> dict[str, bool]:
    """Whether a tokenizer.json adds tokens around a text; {} where it does not say.

    Newer versions of transformers write it there alone, older ones in the config as well.
    """
    single = (table.get("post_processor") or {}).get("single")
    if not isinstance(single, list):
        return {}
    kinds = ["SpecialToken" in part for part in single]
    return {"add_bos_token": kinds[0], "add_eos_token": kinds[-1]}
