"""CLIP's tokenizers: one content in every layout of files, and the tokens of their library."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from open_clip.tokenizer import SimpleTokenizer

from spqr_tests.checkpoint.formats.tokenizers import ClipVocabulary
from spqr_tests.errors import InputError
from tests.checkpoint.formats.tokenizers.tokenizer_files import (
    END,
    START,
    clip_tokenizer,
    save_newer,
)
from tests.tiny import edit_json

PROMPTS = [
    "a photo of a cat",
    "An ASTRONAUT riding a horse, it's 12345!!",
    "naïve café — 日本語 😀   double  spaces",
    "<|endoftext|> in the middle",
    "",
    "a word " * 100,
]


def _save_older(tokenizer: Any, folder: Path) -> Path:
    """The files as transformers 4 saved them."""
    folder.mkdir()
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    lines = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    (folder / "vocab.json").write_text(json.dumps(tokenizer.get_vocab()), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *lines, ""]), encoding="utf-8")
    token = {
        "__type": "AddedToken",
        "lstrip": False,
        "normalized": True,
        "rstrip": False,
        "single_word": False,
    }
    config = {
        "add_prefix_space": False,
        "bos_token": token | {"content": START},
        "do_lower_case": True,
        "eos_token": token | {"content": END},
        "errors": "replace",
        "model_max_length": tokenizer.model_max_length,
        "name_or_path": "openai/clip-vit-large-patch14",
        "pad_token": END,
        "special_tokens_map_file": "./special_tokens_map.json",
        "tokenizer_class": "CLIPTokenizer",
        "unk_token": token | {"content": END},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    names = ("bos_token", "eos_token", "pad_token", "unk_token")
    (folder / "special_tokens_map.json").write_text(
        json.dumps({name: config[name] for name in names}), encoding="utf-8"
    )
    return folder


@pytest.fixture
def saved(tiny: Any, tmp_path: Path) -> Callable[[str], Path]:
    """The tiny tokenizer's files, of an older or a newer version."""
    return lambda layout: {"older": _save_older, "newer": save_newer}[layout](
        tiny, tmp_path / layout
    )


def test_the_published_vocabulary_is_whole(tokenizer: Any) -> None:
    assert len(tokenizer) == 49_408
    assert tokenizer.model_max_length == 77
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (
        49_406,
        49_407,
        49_407,
    )


@pytest.mark.parametrize("prompt", [prompt for prompt in PROMPTS if "<|" not in prompt])
def test_tokens_are_those_of_open_clip(tokenizer: Any, prompt: str) -> None:
    ours = tokenizer(prompt, padding="max_length", truncation=True).input_ids
    theirs = SimpleTokenizer()([prompt])[0].tolist()
    length = theirs.index(49_407) + 1
    assert ours[:length] == theirs[:length]
    assert set(ours[length:]) <= {49_407}


def test_another_padding_is_another_tokenizer(published: ClipVocabulary) -> None:
    other = ClipVocabulary("!")
    assert other.content() != published.content()
    assert other.load()("a cat", padding="max_length").input_ids[-1] == 0
    with pytest.raises(ValueError, match="is not a token of CLIP"):
        ClipVocabulary("no such token")


def test_the_published_files_have_the_content_of_the_vocabulary(
    published: ClipVocabulary, tokenizer: Any, tmp_path: Path
) -> None:
    from transformers import CLIPTokenizerFast

    tokenizer.save_pretrained(tmp_path / "saved")
    tokenizer = CLIPTokenizerFast.from_pretrained(tmp_path / "saved")
    assert clip_tokenizer(tmp_path / "saved").content() == published.content()
    assert (
        clip_tokenizer(_save_older(tokenizer, tmp_path / "older")).content() == published.content()
    )
    assert (
        clip_tokenizer(save_newer(tokenizer, tmp_path / "newer")).content() == published.content()
    )


@pytest.mark.parametrize("layout", ["older", "newer"])
def test_the_files_of_every_version_are_one_tokenizer(
    saved: Callable[[str], Path], content: Any, tiny: Any, layout: str, tmp_path: Path
) -> None:
    found = clip_tokenizer(saved(layout))
    assert found.content() == content
    loaded = found.load()
    assert [loaded(prompt).input_ids for prompt in PROMPTS] == [
        tiny(prompt).input_ids for prompt in PROMPTS
    ]
    loaded("padded", padding="max_length", truncation=True)
    loaded.save_pretrained(tmp_path / "again")
    assert clip_tokenizer(tmp_path / "again").content() == content


def test_files_of_both_kinds_must_be_of_one_vocabulary(
    saved: Callable[[str], Path], content: Any
) -> None:
    folder = saved("older")
    shutil.copy(saved("newer") / "tokenizer.json", folder)
    assert clip_tokenizer(folder).content() == content
    lines = (folder / "merges.txt").read_text(encoding="utf-8").split("\n")
    lines[1], lines[2] = lines[2], lines[1]
    (folder / "merges.txt").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(InputError, match=r"holds tokenizer\.json and vocab\.json, which differ"):
        clip_tokenizer(folder)


@pytest.mark.parametrize(
    ("layout", "file", "edit"),
    [
        ("newer", "tokenizer.json", lambda table: table["model"]["merges"].pop()),
        ("newer", "tokenizer.json", lambda table: table["model"]["merges"].reverse()),
        (
            "newer",
            "tokenizer.json",
            lambda table: table["model"]["vocab"].update({"red</w>": 5, "heart</w>": 6}),
        ),
        ("newer", "tokenizer_config.json", lambda table: table.update({"pad_token": "!"})),
        ("newer", "tokenizer_config.json", lambda table: table.update(model_max_length=31)),
        ("older", "vocab.json", lambda table: table.update({"red</w>": 5})),
        # Where the config has no decoder of added tokens, the libraries prefer this file.
        ("older", "special_tokens_map.json", lambda table: table.update({"pad_token": "!"})),
        (
            "older",
            "tokenizer_config.json",
            lambda table: table.update(added_tokens_decoder={"5": {"content": "heart</w>"}}),
        ),
    ],
)
def test_what_changes_tokens_changes_the_content(
    saved: Callable[[str], Path],
    content: Any,
    layout: str,
    file: str,
    edit: Callable[[Any], object],
) -> None:
    folder = saved(layout)
    edit_json(folder / file, edit)
    assert clip_tokenizer(folder).content() != content


@pytest.mark.parametrize(
    ("layout", "file", "edit"),
    [
        ("newer", "tokenizer.json", lambda table: table.update(padding=None, truncation=None)),
        (
            "newer",
            "tokenizer_config.json",
            lambda table: table.update(name_or_path="/elsewhere", is_local=True),
        ),
        (
            "older",
            "tokenizer_config.json",
            lambda table: table.update(
                vocab_file="/etc/passwd", auto_map={"AutoTokenizer": ["x.Y"]}
            ),
        ),
    ],
)
def test_what_changes_nothing_does_not_matter(
    saved: Callable[[str], Path],
    content: Any,
    tiny: Any,
    layout: str,
    file: str,
    edit: Callable[[Any], object],
) -> None:
    folder = saved(layout)
    edit_json(folder / file, edit)
    assert clip_tokenizer(folder).content() == content
    assert clip_tokenizer(folder).load()("a red heart").input_ids == tiny("a red heart").input_ids


def test_added_tokens_are_kept(saved: Callable[[str], Path], tmp_path: Path) -> None:
    loaded = clip_tokenizer(saved("newer")).load()
    loaded.add_tokens(["<glyph>"])
    loaded.save_pretrained(tmp_path / "added")
    added = clip_tokenizer(tmp_path / "added")
    assert added.load()("a <glyph>").input_ids == loaded("a <glyph>").input_ids
    assert loaded("a <glyph>").input_ids[2] == 1024
    added.load().save_pretrained(tmp_path / "again")
    assert clip_tokenizer(tmp_path / "again").content() == added.content()


@pytest.mark.parametrize(
    ("layout", "damage", "sentence"),
    [
        (
            "newer",
            lambda folder: (folder / "tokenizer.json").unlink(),
            r"holds no tokenizer: expected vocab\.json and merges\.txt",
        ),
        ("older", lambda folder: (folder / "merges.txt").unlink(), "holds no tokenizer"),
        (
            "older",
            lambda folder: (folder / "vocab.json").write_text("[]"),
            r"vocab\.json holds no JSON object",
        ),
        (
            "older",
            lambda folder: (folder / "merges.txt").write_bytes(b"\xff"),
            r"merges\.txt is not UTF-8 text",
        ),
        (
            "older",
            lambda folder: edit_json(folder / "vocab.json", lambda table: table.update(a="0")),
            "cannot be loaded as CLIPTokenizer",
        ),
        (
            "older",
            lambda folder: edit_json(folder / "vocab.json", lambda table: table.update(a=2**40)),
            "cannot be loaded",
        ),
        (
            "newer",
            lambda folder: edit_json(folder / "tokenizer.json", dict.clear),
            "cannot be loaded as CLIPTokenizer",
        ),
        (
            "newer",
            lambda folder: (folder / "tokenizer_config.json").unlink(),
            "must give model_max_length",
        ),
        (
            "newer",
            lambda folder: edit_json(
                folder / "tokenizer_config.json",
                lambda table: table.update({"pad_token": "<none>"}),
            ),
            "the special token '<none>' is not in its vocabulary",
        ),
        (
            "newer",
            lambda folder: edit_json(
                folder / "tokenizer_config.json", lambda table: table.update({"pad_token": ["!"]})
            ),
            "cannot be loaded as CLIPTokenizer",
        ),
        (
            "older",
            lambda folder: edit_json(
                folder / "tokenizer_config.json",
                lambda table: table.update(added_tokens_decoder=[1]),
            ),
            "cannot be loaded as CLIPTokenizer",
        ),
    ],
)
def test_files_that_are_not_a_tokenizer_are_refused(
    saved: Callable[[str], Path], layout: str, damage: Callable[[Path], object], sentence: str
) -> None:
    folder = saved(layout)
    damage(folder)
    with pytest.raises(InputError, match=sentence):
        clip_tokenizer(folder)


@pytest.mark.parametrize("merge", ["nosuchtoken another", "a", "a b c", "z z</w> z"])
def test_merges_of_what_is_not_a_token_are_refused(
    saved: Callable[[str], Path], merge: str
) -> None:
    folder = saved("older")
    with (folder / "merges.txt").open("a", encoding="utf-8") as file:
        file.write(f"{merge}\n")
    with pytest.raises(InputError, match="older cannot be loaded as CLIPTokenizer: "):
        clip_tokenizer(folder)
