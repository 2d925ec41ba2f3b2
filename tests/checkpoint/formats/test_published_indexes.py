"""Indexes as published are read, whichever version of diffusers wrote them."""

import inspect
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from spqr_tests.checkpoint.backbones import BACKBONES
from spqr_tests.checkpoint.checkpoint import read
from spqr_tests.checkpoint.formats.pipeline_folder import SWITCHES
from spqr_tests.errors import InputError
from tests.checkpoint.formats.published_indexes import INDEXES
from tests.checkpoint.tiny_pipelines import FolderOf
from tests.tiny import edit_json


def folder_with(index: dict[str, Any], source: Path, folder: Path) -> Path:
    """A copy of a tiny pipeline, with another index and the scheduler that it names."""
    shutil.copytree(source, folder)
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    edit_json(
        folder / "scheduler" / "scheduler_config.json",
        lambda table: table.update(_class_name=index["scheduler"][1]),
    )
    return folder


@pytest.mark.parametrize("name", INDEXES)
def test_an_index_as_published_is_read(
    name: str, pipeline_folder_of: FolderOf, tmp_path: Path
) -> None:
    backbone, index = INDEXES[name]
    folder = folder_with(index, pipeline_folder_of(backbone), tmp_path / "model")
    parts = read("some", folder).parts
    assert parts.pipeline_class == index["_class_name"]
    assert parts.scheduler[0] == index["scheduler"][1]


@pytest.mark.parametrize(
    "name", [name for name, (_, index) in INDEXES.items() if None in index.values()]
)
def test_null_is_loaded_as_false(name: str, pipeline_folder_of: FolderOf, tmp_path: Path) -> None:
    backbone, index = INDEXES[name]
    folder = folder_with(index, pipeline_folder_of(backbone), tmp_path / "model")
    pipeline = read("some", folder).pipeline("cpu", "float32")
    assert not pipeline.config.get("requires_safety_checker")
    assert getattr(pipeline, "watermark", None) is None
    assert getattr(pipeline, "safety_checker", None) is None


def test_null_is_accepted_where_diffusers_declares_it() -> None:
    """A switch of a later diffusers that may be null fails here until it is decided on."""
    import diffusers

    for backbone in BACKBONES:
        for pipeline in backbone.pipelines:
            parameters = inspect.signature(getattr(diffusers, pipeline)).parameters
            for name, parameter in parameters.items():
                nullable = "bool" in str(parameter.annotation) and (
                    parameter.default is None or "None" in str(parameter.annotation)
                )
                assert not nullable or name in SWITCHES, f"{pipeline}: {name}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("force_zeros_for_empty_prompt", None),
        ("force_zeros_for_empty_prompt", 1),
        ("add_watermarker", "no"),
        ("add_watermarker", 0),
        ("requires_safety_checker", [None, None]),
    ],
)
def test_what_diffusers_does_not_declare_is_refused(
    name: str, value: object, pipeline_folder_of: FolderOf, tmp_path: Path
) -> None:
    _, index = INDEXES["Stable Diffusion XL base 1.0: add_watermarker null"]
    folder = folder_with(index | {name: value}, pipeline_folder_of("sdxl"), tmp_path / "model")
    with pytest.raises(InputError, match=rf"model_index\.json names {name} = "):
        read("some", folder)
