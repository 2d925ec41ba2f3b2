"""Tiny pipelines in folders, one of each backbone."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.tiny import backbones


@pytest.fixture(scope="session")
def pipeline_folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a backbone's tiny pipeline ('sd1', 'sd2', 'sdxl', 'sd3', 'flux'); read only."""

    @cache
    def build(name: str) -> Path:
        return backbones.build(name, tmp_path_factory.mktemp("pipelines") / name)

    return build
