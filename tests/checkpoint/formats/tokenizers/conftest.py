"""Tokenizers of CLIP and T5."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from spqr_fixtures.embedded import weights
from spqr_tests.checkpoint.formats.tokenizers import ClipVocabulary
from tests.checkpoint.formats.tokenizers.tokenizer_files import END, clip_tokenizer, save_newer
from tests.checkpoint.tiny_pipelines import FolderOf


@pytest.fixture(scope="module")
def published() -> ClipVocabulary:
    return ClipVocabulary(END)


@pytest.fixture(scope="module")
def tokenizer(published: ClipVocabulary) -> Any:
    return published.load()


@pytest.fixture(scope="module")
def tiny() -> Any:
    """A CLIP tokenizer of 1,024 tokens; a prompt has at most 32."""
    from transformers import CLIPTokenizerFast

    return CLIPTokenizerFast.from_pretrained(weights.judge_folder(), pad_token=END)


@pytest.fixture(scope="module")
def content(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return clip_tokenizer(
        save_newer(tiny, tmp_path_factory.mktemp("tokenizers") / "tiny")
    ).content()


@pytest.fixture
def t5(pipeline_folder_of: FolderOf, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pipeline_folder_of("flux") / "tokenizer_2", tmp_path / "t5"))
