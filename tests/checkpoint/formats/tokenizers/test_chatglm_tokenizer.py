"""ChatGLM's tokenizer: read by diffusers' class, or refused with what is missing."""

import sys
from pathlib import Path

import pytest

from spqr_tests.checkpoint.formats.tokenizers import FolderTokenizer
from spqr_tests.errors import InputError
from tests.tiny import edit_json
from tests.tiny.families.kolors import chatglm_tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    chatglm_tokenizer().save_pretrained(tmp_path)
    return tmp_path


def _read(folder: Path) -> FolderTokenizer:
    return FolderTokenizer("ChatGLMTokenizer", folder)


def test_it_makes_the_tokens_of_the_one_that_was_saved(folder: Path) -> None:
    theirs, ours = chatglm_tokenizer(), _read(folder).load()
    for text in ("", "a red heart", "two  moons", "<|user|> a ring", "🙂"):
        padded = {"padding": "max_length", "max_length": 24, "truncation": True}
        assert dict(ours(text, **padded)) == dict(theirs(text, **padded))
    assert _read(folder).max_length is None


def test_a_role_may_be_a_token(folder: Path) -> None:
    before = _read(folder)
    path = folder / "tokenizer_config.json"
    edit_json(path, lambda table: table.update(encode_special_tokens=True))
    after = _read(folder)
    assert after.content() != before.content()
    text = "<|user|> a ring"
    assert len(after.load()(text)["input_ids"]) < len(before.load()(text)["input_ids"])
    edit_json(path, lambda table: table.update(encode_special_tokens="yes"))
    with pytest.raises(InputError, match="do not belong to such a tokenizer"):
        _read(folder)


def test_a_folder_without_its_file_is_refused(folder: Path) -> None:
    (folder / "tokenizer.model").unlink()
    with pytest.raises(InputError, match=r"holds no tokenizer: expected tokenizer\.model\."):
        _read(folder)


def test_without_sentencepiece_its_reader_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = _read(folder)
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(InputError, match="the package sentencepiece, which is not installed: pip"):
        tokenizer.load()
