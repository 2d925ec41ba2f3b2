"""Qwen2's tokenizers: one content in every publisher's files, and none that is read in two ways."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spqr_tests.checkpoint.formats.tokenizers import FolderTokenizer
from spqr_tests.errors import InputError
from tests.tiny import edit_json
from tests.tiny.families import qwen_words

TEXTS = ["a red heart", "it's  12,5 <|im_start|>user\n\n wörld 世界 !?\r\n", ""]


def _tokenizer(folder: Path) -> FolderTokenizer:
    return FolderTokenizer("Qwen2Tokenizer", folder)


@pytest.fixture
def qwen(tmp_path: Path) -> Path:
    """Qwen's own files: vocab.json and merges.txt."""
    folder = tmp_path / "qwen"
    folder.mkdir()
    qwen_words.write(folder)
    return folder


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """The files that transformers saves: tokenizer.json and chat_template.jinja."""
    qwen_words.made().save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


def test_every_publishers_files_have_one_content(qwen: Path, saved: Path) -> None:
    assert (saved / "tokenizer.json").is_file()
    assert not (saved / "vocab.json").exists()
    assert _tokenizer(qwen).content() == _tokenizer(saved).content()
    assert _tokenizer(qwen).size == _tokenizer(saved).size == qwen_words.size()
    assert _tokenizer(qwen).max_length is None
    ours, theirs = _tokenizer(saved).load(), qwen_words.made()
    assert [ours(text).input_ids for text in TEXTS] == [theirs(text).input_ids for text in TEXTS]
    message = [{"role": "user", "content": TEXTS[0]}]
    options = {"tokenize": False, "add_generation_prompt": True, "enable_thinking": False}
    said = ours.apply_chat_template(message, **options)
    assert said == theirs.apply_chat_template(message, **options)
    assert said.endswith("a red heart<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n")


@pytest.mark.parametrize(
    "edit",
    [
        lambda config: config.update(chat_template="{{ messages[0].content }}"),
        lambda config: config.update({"pad_token": "<|im_end|>"}),
        lambda config: config["added_tokens_decoder"].pop(max(config["added_tokens_decoder"])),
    ],
    ids=["template", "padding", "added"],
)
def test_what_changes_the_tokens_changes_the_content(
    qwen: Path, edit: Callable[[dict[str, Any]], None]
) -> None:
    before = _tokenizer(qwen).content()
    edit_json(qwen / "tokenizer_config.json", edit)
    assert _tokenizer(qwen).content() != before


def test_what_versions_of_transformers_read_in_two_ways_is_refused(qwen: Path, saved: Path) -> None:
    edit_json(
        saved / "tokenizer.json",
        lambda table: table["pre_tokenizer"]["pretokenizers"][0]["pattern"].update(Regex=r"\p{L}+"),
    )
    with pytest.raises(InputError, match="parts a text otherwise than Qwen2's tokenizer does"):
        _tokenizer(saved)
    edit_json(qwen / "tokenizer_config.json", lambda config: config.update(add_prefix_space=True))
    with pytest.raises(InputError, match="says add_prefix_space"):
        _tokenizer(qwen)


def test_two_vocabularies_are_refused(qwen: Path, saved: Path) -> None:
    for name in ("vocab.json", "merges.txt"):
        (saved / name).write_bytes((qwen / name).read_bytes())
    assert _tokenizer(saved).content() == _tokenizer(qwen).content()
    edit_json(saved / "vocab.json", lambda table: table.update(more=len(table)))
    with pytest.raises(InputError, match=r"tokenizer\.json and vocab\.json, which differ"):
        _tokenizer(saved)
    for name in ("vocab.json", "tokenizer.json"):
        (saved / name).unlink()
    with pytest.raises(InputError, match=r"holds no tokenizer: expected vocab\.json and merges"):
        _tokenizer(saved)


@pytest.mark.parametrize("damage", ["a list", "[1]", '{"model": {}}', '{"a": "b"}'])
def test_damaged_files_are_refused_in_a_sentence(qwen: Path, damage: str) -> None:
    (qwen / "vocab.json").write_text(damage, encoding="utf-8")
    with pytest.raises(InputError):
        _tokenizer(qwen)
