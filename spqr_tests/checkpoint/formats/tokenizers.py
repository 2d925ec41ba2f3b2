"""Tokenizers: a folder's, or CLIP's from the vocabulary that ships with open_clip.

Whichever files a tokenizer was saved in, the same few values are read from them. They alone enter
the fingerprint, and they alone are written to the folder that transformers loads.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from spqr_tests import files, quotes
from spqr_tests.checkpoint.formats import published_clip
from spqr_tests.checkpoint.formats.vocabularies import (
    FLAGS,
    Pairs,
    Pieces,
    Sentencepiece,
    Special,
    Vocabulary,
)
from spqr_tests.errors import InputError
from spqr_tests.store import digest

_SPECIALS = ("bos_token", "eos_token", "unk_token", "pad_token")
_START, _END = published_clip.START, published_clip.END
_CLIP_SPECIALS = {"bos_token": _START, "eos_token": _END, "unk_token": _END, "pad_token": _END}
_T5_SPECIALS = {"bos_token": None, "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
_FILES = (
    "tokenizer_config.json special_tokens_map.json added_tokens.json tokenizer.json vocab.json"
    " merges.txt spiece.model"
).split()
_MAX_LENGTH = 2**20


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
            self._vocabulary = _clip(folder) if class_name.startswith("CLIP") else _t5(folder)
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
        """The tokens of a prompt; None for T5."""
        return self._vocabulary.special.max_length

    @property
    def size(self) -> int | None:
        """How many tokens an encoder must know; None for a sentencepiece file."""
        return self._size

    def knows(self, token: str) -> bool:
        """Whether a token of this name is in its vocabulary; only for CLIP's."""
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
        self._vocabulary = Pairs(ids, merges, Special(_CLIP_SPECIALS | {"pad_token": pad}, {}, 77))

    @property
    def max_length(self) -> int | None:
        """The tokens of a prompt."""
        return self._vocabulary.special.max_length

    def knows(self, token: str) -> bool:
        """Whether a token of this name is in its vocabulary."""
        return self._vocabulary.knows(token)

    def content(self) -> Any:
        """Digests of its vocabulary, its special tokens and its length.

        They equal those of a folder with the same tokenizer.
        """
        return self._vocabulary.content()

    def load(self) -> Any:
        """The transformers tokenizer."""
        return _load("CLIPTokenizer", self._vocabulary, Path("the vocabulary of open_clip"))


def _load(class_name: str, vocabulary: Vocabulary, source: Path) -> Any:
    import transformers

    with tempfile.TemporaryDirectory() as folder:
        try:
            vocabulary.write(Path(folder))
            # Transformers 4 has two of each class. Those in Python split some texts differently,
            # and transformers 5 no longer has them.
            fast = getattr(transformers, f"{class_name.removesuffix('Fast')}Fast")
            tokenizer = fast.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # the tokenizers library raises anything
            reason = (str(error) or repr(error)).splitlines()[0]
            raise InputError(f"{source} cannot be loaded as {class_name}: {reason}") from error
    tokenizer.name_or_path = str(source)
    return tokenizer


def _clip(folder: Path) -> Pairs:
    found = []
    table = _optional(folder / "tokenizer.json")
    if table is not None:
        model = table["model"]
        pairs = (pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"])
        found.append((_ids(model["vocab"]), tuple(pairs)))
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        lines = files.text(folder / "merges.txt").split("\n")
        merges = tuple(
            line.rstrip("\r") for line in lines if line.strip() and not line.startswith("#version")
        )
        found.append((_ids(files.json_object(folder / "vocab.json")), merges))
    if not found:
        raise InputError(
            f"{folder} holds no tokenizer: expected vocab.json and merges.txt, or tokenizer.json."
        )
    special = _special(folder, table, _CLIP_SPECIALS)
    more = {token: entry["id"] for token, entry in special.added.items()}
    different = {digest.of_json([ids | more, merges]) for ids, merges in found}
    if len(different) > 1:
        raise InputError(
            f"{folder} holds tokenizer.json and vocab.json, which differ, and libraries may load"
            " either; remove one."
        )
    ids = found[0][0] | _ids(more)
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
    return Pairs(ids, found[0][1], special)


def _t5(folder: Path) -> Vocabulary:
    table = _optional(folder / "tokenizer.json")
    special = _special(folder, table, _T5_SPECIALS)
    if table is not None:
        if not all(
            isinstance(piece, str) and isinstance(score, int | float)
            for piece, score in table["model"]["vocab"]
        ):
            raise ValueError("a vocabulary of other values")
        return Pieces(table, special)
    if not (folder / "spiece.model").is_file():
        raise InputError(f"{folder} holds no tokenizer: expected tokenizer.json or spiece.model.")
    return Sentencepiece(folder / "spiece.model", special)


def _special(
    folder: Path, table: Mapping[str, Any] | None, default: Mapping[str, str | None]
) -> Special:
    config = _optional(folder / "tokenizer_config.json") or {}
    named = {**config}
    entries: list[tuple[str, Mapping[str, Any]]] = []
    if "added_tokens_decoder" in config:
        entries += [
            (entry["content"], {**entry, "id": int(number)})
            for number, entry in config["added_tokens_decoder"].items()
        ]
    else:
        # As in transformers: without added_tokens_decoder, the older files decide.
        named |= _optional(folder / "special_tokens_map.json") or {}
        older = _optional(folder / "added_tokens.json") or {}
        entries += [(token, {"id": number, "normalized": True}) for token, number in older.items()]
        entries += [(entry["content"], entry) for entry in (table or {}).get("added_tokens", [])]
    tokens = {name: _text(named.get(name, default[name])) for name in _SPECIALS}
    added = {token: dict.fromkeys(FLAGS, False) | dict(entry) for token, entry in entries}
    _ids({token: entry["id"] for token, entry in added.items()})
    length = config.get("model_max_length")
    # Transformers writes 10^30 if there is no limit.
    bounded = type(length) is int and 0 < length <= _MAX_LENGTH
    return Special(tokens, added, length if bounded else None)


def _text(token: Any) -> str | None:
    """A special token's text, which is given alone or in a table with its flags."""
    text = token["content"] if isinstance(token, dict) else token
    if not (text is None or isinstance(text, str)):
        raise ValueError("a token that is not text")
    return text


def _ids(table: Mapping[str, Any]) -> dict[str, int]:
    if not all(type(number) is int and 0 <= number <= _MAX_LENGTH for number in table.values()):
        raise ValueError("tokens that are not numbered")
    return dict(table)


def _optional(path: Path) -> dict[str, Any] | None:
    return files.json_object(path) if path.is_file() else None
