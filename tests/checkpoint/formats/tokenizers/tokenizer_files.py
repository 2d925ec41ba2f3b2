"""Files of tokenizers, and how the suite reads them."""

import json
from pathlib import Path
from typing import Any

from spqr_tests.checkpoint.formats.tokenizers import FolderTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"


def save_newer(tokenizer: Any, folder: Path) -> Path:
    """The files as transformers 5 saves them."""
    folder.mkdir()
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    names = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    config = {
        "backend": "tokenizers",
        "model_max_length": tokenizer.model_max_length,
        "tokenizer_class": "CLIPTokenizer",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config | names), encoding="utf-8")
    return folder


def clip_tokenizer(folder: Path) -> FolderTokenizer:
    return FolderTokenizer("CLIPTokenizer", folder)


def t5_tokenizer(folder: Path) -> FolderTokenizer:
    return FolderTokenizer("T5TokenizerFast", folder)
