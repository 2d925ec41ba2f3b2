"""Transformers in single files of the families that are read from folders."""

import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from spqr_tests import files
from spqr_tests.checkpoint.checkpoint import read
from spqr_tests.checkpoint.strengths import Given
from spqr_tests.errors import InputError
from tests.checkpoint.formats import originals_families
from tests.checkpoint.tiny_pipelines import FolderOf
from tests.tiny.families.registry import FAMILIES

# Each row of the table in docs/checkpoints.md, and what the header calls the file.
ROWS = {
    "flux-2-klein": ("FLUX.2 klein", "FLUX.2 checkpoint"),
    "chroma": ("Chroma", "Chroma checkpoint"),
    "z-image": ("Z-Image", "Z-Image checkpoint"),
    "lumina-2": ("Lumina 2", "Lumina 2 checkpoint"),
    "sana": ("Sana", "Sana checkpoint"),
    "auraflow": ("AuraFlow", "checkpoint of AuraFlow"),
    "qwen-image": ("Qwen-Image", "Qwen-Image checkpoint"),
}
NAMES = pytest.mark.parametrize("name", ROWS)
DOCUMENT = Path(__file__).parents[4] / "docs" / "checkpoints.md"


@pytest.fixture(scope="module")
def folder_of(pipeline_folder_of: FolderOf, tmp_path_factory: pytest.TempPathFactory) -> FolderOf:
    """The folder of a tiny pipeline of any family; read only."""

    @cache
    def build(name: str) -> Path:
        if name not in FAMILIES:
            return pipeline_folder_of(name)
        torch.manual_seed(0)
        folder = tmp_path_factory.mktemp("families") / name
        FAMILIES[name].make().save_pretrained(folder)
        return folder

    return build


def _transformer(folder: Path) -> Any:
    import diffusers

    model_class = files.json_object(folder / "transformer" / "config.json")["_class_name"]
    return getattr(diffusers, model_class).from_pretrained(folder / "transformer")


@NAMES
def test_a_transformer_in_its_authors_names_is_the_saved_one(
    name: str, folder_of: FolderOf, tmp_path: Path
) -> None:
    changed = _transformer(folder_of(name))
    with torch.no_grad():
        for parameter in changed.parameters():
            parameter.mul_(1.1).add_(0.02)
    shutil.copytree(folder_of(name), tmp_path / "changed")
    changed.save_pretrained(tmp_path / "changed" / "transformer")
    stored = originals_families.transformer(name, changed)
    path = tmp_path / "model.safetensors"
    save_file({f"model.diffusion_model.{key}": one for key, one in stored.items()}, path)
    found = read("base", folder_of(name), overlays=[Given(path)])
    expected = read("changed", tmp_path / "changed")
    assert found.fingerprint == expected.fingerprint != read("base", folder_of(name)).fingerprint
    count = len(changed.state_dict())
    assert found.recognised[-1] == (
        f"model.safetensors: {count} of the transformer's {count} tensors are replaced, in the"
        f" names of a {ROWS[name][1]}"
    )


@NAMES
def test_a_file_that_does_not_fit_is_refused(
    name: str, folder_of: FolderOf, tmp_path: Path
) -> None:
    stored = originals_families.transformer(name, _transformer(folder_of(name)))
    path = tmp_path / "model.safetensors"
    first = next(key for key, one in stored.items() if one.ndim > 1 and "0" in key)
    for tensors, words in (
        (stored, "changes nothing: all of its tensors equal the base's"),
        (stored | {"strange.weight": torch.ones(2)}, "strange.weight"),
        (stored | {first: stored[first][:-1]}, rf"{first}, of the shape|{first} has the shape"),
    ):
        save_file({key: one.contiguous() for key, one in tensors.items()}, path)
        with pytest.raises(InputError, match=words) as refused:
            read("base", folder_of(name), overlays=[Given(path)])
        assert "\n" not in str(refused.value)


@NAMES
def test_alone_it_is_no_model(name: str, folder_of: FolderOf, tmp_path: Path) -> None:
    stored = originals_families.transformer(name, _transformer(folder_of(name)))
    path = tmp_path / "model.safetensors"
    save_file(stored, path)
    overlay = r"pass (its diffusers|the pipeline) folder .*as --model, and this file as --spqr-over"
    for config in (None, str(folder_of(name))):
        with pytest.raises(InputError, match=overlay):
            read(str(path), path, config=config)


def test_names_that_diffusers_does_not_convert_are_refused(
    folder_of: FolderOf, tmp_path: Path
) -> None:
    """Sana 1.5 has norms of queries and keys, and nobody converts PixArt-Sigma's files."""
    import diffusers

    path = tmp_path / "model.safetensors"
    sana = Path(shutil.copytree(folder_of("sana"), tmp_path / "sana"))
    config = _transformer(sana).config | {"qk_norm": "rms_norm_across_heads"}
    model = diffusers.SanaTransformer2DModel.from_config(config)
    model.save_pretrained(sana / "transformer")
    for folder, name in (
        (sana, "blocks.0.attn.q_norm.weight"),
        (folder_of("pixart-sigma"), "blocks.0.cross_attn.q_linear.weight"),
    ):
        save_file({name: torch.ones(16, 16)}, path)
        with pytest.raises(InputError, match="with diffusers, save it as a pipeline folder and pa"):
            read("base", folder, overlays=[Given(path)])


def test_the_documents_rows_and_the_tests_are_the_same(folder_of: FolderOf) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    part = text.split("### Single files of the newer families")[1].split("\n###")[0]
    rows = [line.split("|") for line in part.splitlines() if line.startswith("|")][2:]
    assert [row[1].strip() for row in rows] == [name for name, _ in ROWS.values()]
    for key, row in zip(ROWS, rows, strict=True):
        stored = originals_families.transformer(key, _transformer(folder_of(key)))
        for name in re.findall(r"`(.+?)`", f"{row[2]}{row[3]}"):
            assert any(one.startswith(f"{name}.") or one == name for one in stored), name
