"""Tiny pipelines, one of each backbone: their folders, and what is read from them."""

from functools import cache
from pathlib import Path

import pytest

from spqr_tests.checkpoint.backbones import BACKBONES
from spqr_tests.checkpoint.formats import pipeline_folder
from tests.checkpoint.tiny_pipelines import FolderOf, PartsOf
from tests.tiny import backbones


@pytest.fixture(scope="session")
def pipeline_folder_of(tmp_path_factory: pytest.TempPathFactory) -> FolderOf:
    """The folder of a backbone's tiny pipeline ('sd1', 'sd2', 'sdxl', 'sd3', 'flux'); read only."""

    @cache
    def build(name: str) -> Path:
        return backbones.build(name, tmp_path_factory.mktemp("pipelines") / name)

    return build


@pytest.fixture(scope="session")
def parts_of(pipeline_folder_of: FolderOf) -> PartsOf:
    """A backbone's tiny pipeline as it is read for a run whose model is called 'base'."""
    return cache(
        lambda name: pipeline_folder.read(
            "base", pipeline_folder_of(name), BACKBONES, allow_pickle=False
        )
    )
