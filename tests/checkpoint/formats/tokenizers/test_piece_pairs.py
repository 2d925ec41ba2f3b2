"""Tokenizers of sentence pieces' pairs: read, told apart, and loaded to the same tokens."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from spqr_tests.checkpoint.formats.tokenizers import FolderTokenizer
from spqr_tests.errors import InputError
from tests.tiny import edit_json
from tests.tiny.families.auraflow import llama_tokenizer
from tests.tiny.families.sana import gemma_tokenizer

TEXTS = ["", "a red heart", "  two  spaces ", "Ünïcödé 🙂", "line\nbreak", "user prompt: <bos> a"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gemma")
    gemma_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "tokenizer"))


def _read(folder: Path) -> FolderTokenizer:
    return FolderTokenizer("GemmaTokenizerFast", folder)


def test_it_makes_the_tokens_of_the_one_that_was_saved(folder: Path) -> None:
    theirs, ours = gemma_tokenizer(), _read(folder)
    loaded = ours.load()
    for text in TEXTS:
        ids = theirs(text)["input_ids"]
        assert loaded(text)["input_ids"] == ids
        assert ids[0] == theirs.bos_token_id
    assert loaded.pad_token_id == theirs.pad_token_id
    assert ours.max_length is None
    assert ours.size == len(theirs)


def test_llama_s_has_an_end_and_no_beginning_where_its_config_says_so(tmp_path: Path) -> None:
    theirs = llama_tokenizer()
    theirs.save_pretrained(tmp_path)
    ours = FolderTokenizer("LlamaTokenizerFast", tmp_path)
    loaded = ours.load()
    for text in TEXTS:
        ids = theirs(text)["input_ids"]
        assert loaded(text)["input_ids"] == ids
        assert (ids[0], ids[-1]) != (theirs.bos_token_id, theirs.pad_token_id)
        assert ids[-1] == theirs.eos_token_id
    assert loaded.padding_side == theirs.padding_side
    before = ours.content()
    edit_json(tmp_path / "tokenizer.json", lambda table: table.update(normalizer=None))
    assert FolderTokenizer("LlamaTokenizerFast", tmp_path).content() != before


def test_merges_may_be_written_in_two_ways(folder: Path) -> None:
    before = _read(folder).content()

    def rewrite(table: dict[str, Any]) -> None:
        model = table["model"]
        model["merges"] = [
            one.split(" ") if isinstance(one, str) else " ".join(one) for one in model["merges"]
        ]

    edit_json(folder / "tokenizer.json", rewrite)
    assert _read(folder).content() == before


@pytest.mark.parametrize("key", ["merges", "vocab", "bos"])
def test_another_tokenizer_is_another_model(folder: Path, key: str) -> None:
    before = _read(folder).content()
    if key == "bos":
        edit_json(folder / "tokenizer_config.json", lambda table: table.update(add_bos_token=False))
    elif key == "merges":
        edit_json(folder / "tokenizer.json", lambda table: table["model"]["merges"].pop())
    else:
        edit_json(folder / "tokenizer.json", lambda table: table["model"]["vocab"].update(new=900))
    assert _read(folder).content() != before


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda table: table.update(normalizer={"type": "Lowercase"}), "parts a text otherwise"),
        (lambda table: table["model"].update(byte_fallback=False), "parts a text otherwise"),
        (lambda table: table["model"]["merges"].append("x y"), "do not belong to such a"),
        (lambda table: table["model"]["vocab"].update({"a": -1}), "do not belong to such a"),
        (lambda table: table.pop("model"), "do not belong to such a"),
    ],
)
def test_what_is_no_such_tokenizer_is_refused(folder: Path, edit: Any, words: str) -> None:
    edit_json(folder / "tokenizer.json", edit)
    with pytest.raises(InputError, match=words):
        _read(folder)


def test_a_folder_without_its_file_is_refused(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"holds no tokenizer: expected tokenizer\.json, which"):
        _read(folder)


def test_a_special_token_that_is_not_there_is_refused(folder: Path) -> None:
    edit_json(folder / "tokenizer_config.json", lambda table: table.update({"pad_token": "[PAD]"}))
    with pytest.raises(InputError, match=r"the special token '\[PAD\]' is not in its vocabulary"):
        _read(folder)
