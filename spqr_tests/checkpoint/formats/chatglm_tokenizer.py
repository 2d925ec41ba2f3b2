"""ChatGLM's tokenizer: sentence pieces in sentencepiece's own file, read by diffusers' class."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spqr_tests import files
from spqr_tests.checkpoint.formats import vocabulary
from spqr_tests.checkpoint.formats.vocabulary import Special, Vocabulary
from spqr_tests.errors import InputError
from spqr_tests.store import digest

NAME = "ChatGLMTokenizer"
_FILE = "tokenizer.model"


@dataclass(frozen=True)
class ChatGlm(Vocabulary):
    """Its pieces; special tokens, their order and the prefix of a text are the class's own."""

    path: Path
    encodes_roles: bool
    """Whether the names of a chat's roles in a text become their special tokens."""
    special: Special

    @property
    def size(self) -> int | None:
        """None: the file does not say it without sentencepiece."""
        return None

    @property
    def max_length(self) -> int | None:
        """None: a language model reads more than the pipeline asks for."""
        return None

    def content(self) -> Any:
        """Digest of its pieces, and the one setting that changes a prompt's tokens."""
        return [digest.of_file(self.path), self.encodes_roles]

    def write(self, folder: Path) -> None:
        """Its file; the settings are given to the class."""
        (folder / _FILE).write_bytes(files.data(self.path))

    def load(self, folder: Path) -> Any:
        """The tokenizer of a folder that `write` wrote, in memory.

        `InputError` where sentencepiece is not installed.
        """
        from spqr_tests.checkpoint.formats import libraries

        try:
            import sentencepiece  # noqa: F401
        except ImportError as error:
            raise InputError(
                f"{self.path} is read by the package sentencepiece, which is not installed: pip"
                " install sentencepiece."
            ) from error
        kind = libraries.class_of("kolors", NAME)
        loaded = kind(str(folder / _FILE), encode_special_tokens=self.encodes_roles)
        loaded.padding_side = "left"  # its class knows no other
        return loaded


def read(folder: Path) -> ChatGlm:
    """The tokenizer in a folder; `InputError`, or `ValueError` for a setting that is none."""
    if not (folder / _FILE).is_file():
        raise InputError(f"{folder} holds no tokenizer: expected {_FILE}.")
    config = vocabulary.optional(folder / "tokenizer_config.json") or {}
    roles = config.get("encode_special_tokens", False)
    if not isinstance(roles, bool):
        raise ValueError("encode_special_tokens is not true or false")
    return ChatGlm(folder / _FILE, roles, Special({}, {}, None))
