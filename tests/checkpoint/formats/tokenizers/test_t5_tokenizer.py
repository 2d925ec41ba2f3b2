"""T5's tokenizers: one content in every version's files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spqr_tests.errors import InputError
from tests.checkpoint.formats.tokenizers.tokenizer_files import t5_tokenizer
from tests.tiny import edit_json


def test_t5_is_loaded_and_saved_again_as_the_same(t5: Path, tmp_path: Path) -> None:
    from transformers import T5TokenizerFast

    ours, theirs = t5_tokenizer(t5).load(), T5TokenizerFast.from_pretrained(t5)
    assert ours("a red heart").input_ids == theirs("a red heart").input_ids
    assert ours.model_max_length == theirs.model_max_length == 16
    ours.save_pretrained(tmp_path / "again")
    assert t5_tokenizer(tmp_path / "again").content() == t5_tokenizer(t5).content()


def test_t5s_placeholders_do_not_matter(t5: Path) -> None:
    """Each version of transformers saves them with other flags."""
    before = t5_tokenizer(t5).content()
    token = {
        "id": 29,
        "content": "<extra_id_0>",
        "single_word": False,
        "lstrip": True,
        "rstrip": True,
        "normalized": False,
    }
    edit_json(
        t5 / "tokenizer.json", lambda table: table["added_tokens"].append(token | {"special": True})
    )
    edit_json(
        t5 / "tokenizer_config.json",
        lambda table: table.update(extra_ids=1, additional_special_tokens=["<extra_id_0>"]),
    )
    assert t5_tokenizer(t5).content() == before


@pytest.mark.parametrize(
    ("file", "edit"),
    [
        ("tokenizer.json", lambda table: table["model"]["vocab"].reverse()),
        ("tokenizer.json", lambda table: table["model"]["vocab"][5].__setitem__(1, -4.0)),
        (
            "tokenizer.json",
            lambda table: table.update(
                normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"}
            ),
        ),
        ("tokenizer_config.json", lambda table: table.update(model_max_length=17)),
        ("tokenizer_config.json", lambda table: table.update({"pad_token": "</s>"})),
    ],
)
def test_what_changes_t5s_tokens_changes_the_content(
    t5: Path, file: str, edit: Callable[[Any], object]
) -> None:
    before = t5_tokenizer(t5).content()
    edit_json(t5 / file, edit)
    assert t5_tokenizer(t5).content() != before


def test_sentencepieces_own_file_is_named_by_its_bytes(t5: Path) -> None:
    (t5 / "tokenizer.json").unlink()
    with pytest.raises(
        InputError, match=r"holds no tokenizer: expected tokenizer\.json or spiece\.model"
    ):
        t5_tokenizer(t5)
    contents = []
    for content in (b"a", b"b"):
        (t5 / "spiece.model").write_bytes(content)
        contents.append(t5_tokenizer(t5).content())
    assert contents[0] != contents[1]


@pytest.mark.parametrize("vocab", [3, [], [["a"]], [[1, 2]], [["a", "b"]], {"a": 1}], ids=str)
def test_files_that_are_not_t5_are_refused(t5: Path, vocab: Any) -> None:
    edit_json(t5 / "tokenizer.json", lambda table: table["model"].update(vocab=vocab))
    with pytest.raises(InputError, match="t5 cannot be loaded as T5TokenizerFast"):
        t5_tokenizer(t5).load()


def test_a_tokenizer_that_its_library_cannot_read_is_refused(t5: Path) -> None:
    edit_json(t5 / "tokenizer.json", lambda table: table["model"].update(unk_id=10**6))
    with pytest.raises(InputError, match="t5 cannot be loaded as T5TokenizerFast: "):
        t5_tokenizer(t5).load()
