"""Folders of pipelines: read as diffusers writes them, or refused before a class is looked up."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from spqr_tests.checkpoint.backbones import BACKBONES
from spqr_tests.checkpoint.formats import pipeline_folder
from spqr_tests.checkpoint.parts import Parts
from spqr_tests.errors import InputError
from tests.checkpoint.tiny_pipelines import FolderOf
from tests.tiny import backbones, edit_json


@pytest.fixture
def folder(pipeline_folder_of: FolderOf, tmp_path: Path) -> Path:
    """A copy of a Stable Diffusion 1 folder, to damage."""
    return Path(shutil.copytree(pipeline_folder_of("sd1"), tmp_path / "copy"))


def _read(folder: Path, *, allow_pickle: bool = False, root: Path | None = None) -> Parts:
    return pipeline_folder.read("some", folder, BACKBONES, allow_pickle=allow_pickle, root=root)


@pytest.mark.parametrize("name", backbones.NAMES)
def test_each_backbone_is_read_whole(pipeline_folder_of: FolderOf, name: str) -> None:
    folder = pipeline_folder_of(name)
    parts = _read(folder)
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    named = {key for key, entry in index.items() if isinstance(entry, list) and entry[0]}
    assert parts.pipeline_class == index["_class_name"]
    assert {*parts.models, *parts.tokenizers, "scheduler"} == named
    assert parts.scheduler[0] == index["scheduler"][1]
    for component in parts.models.values():
        assert component.model_class == index[component.name][1]
        assert component.config == json.loads(
            (folder / component.name / "config.json").read_text(encoding="utf-8")
        )
        assert component.source == next((folder / component.name).glob("*.safetensors"))
        stored = {
            key.removeprefix("text_model."): tensor
            for key, tensor in load_file(component.source).items()
            if "embed_tokens" not in key
        }
        assert component.tensors.keys() == stored.keys()
        assert all(
            torch.equal(piece.tensor(), stored[key]) for key, piece in component.tensors.items()
        )


def test_a_switch_of_the_index_is_passed_on(pipeline_folder_of: FolderOf, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(pipeline_folder_of("sdxl"), tmp_path / "copy"))
    edit_json(
        folder / "model_index.json", lambda table: table.update(force_zeros_for_empty_prompt=False)
    )
    assert _read(folder).arguments == {"force_zeros_for_empty_prompt": False}
    edit_json(
        folder / "model_index.json", lambda table: table.update(force_zeros_for_empty_prompt="no")
    )
    with pytest.raises(InputError, match="names force_zeros_for_empty_prompt = 'no'"):
        _read(folder)


@pytest.mark.parametrize("gone", [[None, None], None, ...], ids=str)
def test_a_component_that_a_pipeline_may_lack_may_be_missing(
    pipeline_folder_of: FolderOf, tmp_path: Path, gone: Any
) -> None:
    folder = Path(shutil.copytree(pipeline_folder_of("sd3"), tmp_path / "copy"))
    for name in ("text_encoder_3", "tokenizer_3"):
        shutil.rmtree(folder / name)
        with pytest.raises(InputError, match=rf"has no {name}, which its model_index\.json names"):
            _read(folder)
        edit_json(
            folder / "model_index.json",
            lambda table, name=name: table.pop(name) if gone is ... else table.update({name: gone}),
        )
    parts = _read(folder)
    assert "text_encoder_3" not in parts.models
    assert "tokenizer_3" not in parts.tokenizers


def test_what_would_change_images_after_they_are_generated_is_left_out(folder: Path) -> None:
    entries = {
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "requires_safety_checker": True,
    }
    edit_json(folder / "model_index.json", lambda table: table.update(entries))
    assert set(_read(folder).models) == {"unet", "vae", "text_encoder"}


def test_pickled_weights_are_read_with_permission(folder: Path) -> None:
    safe = folder / "unet" / "diffusion_pytorch_model.safetensors"
    expected = {
        name: piece.digest() for name, piece in _read(folder).models["unet"].tensors.items()
    }
    torch.save(load_file(safe), safe.with_suffix(".bin"))
    safe.unlink()
    parts = _read(folder, allow_pickle=True)
    assert {
        name: piece.digest() for name, piece in parts.models["unet"].tensors.items()
    } == expected
    with pytest.raises(
        InputError, match=r"unet holds no safetensors weights; .* pass --spqr-allow-pickle"
    ):
        _read(folder)


def _index(**entries: Any) -> Callable[[Path], None]:
    return lambda folder: edit_json(
        folder / "model_index.json", lambda table: table.update(entries)
    )


def _without(name: str) -> Callable[[Path], None]:
    return lambda folder: edit_json(folder / "model_index.json", lambda table: table.pop(name))


def _text(path: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / path).write_text(text, encoding="utf-8")


def _remove(path: str) -> Callable[[Path], object]:
    return lambda folder: (
        shutil.rmtree(folder / path) if (folder / path).is_dir() else (folder / path).unlink()
    )


def _custom(folder: Path) -> None:
    (folder / "pipeline.py").write_text(f"open({str(folder / 'sprung')!r}, 'w')", encoding="utf-8")


_NO_PLACE = "which is not among the classes that may be loaded"
UNFIT: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (
        shutil.rmtree,
        r"--model some: there is no folder .*copy\. Pass a diffusers pipeline folder",
    ),
    "no index": (
        _remove("model_index.json"),
        r"copy is not a checkpoint: it has no model_index\.json",
    ),
    "an index that is not JSON": (
        _text("model_index.json", "{"),
        r"model_index\.json is not JSON",
    ),
    "an index nested without end": (
        _text("model_index.json", '{"a":' * 10**5),
        r"model_index\.json is not JSON",
    ),
    "an index that is a list": (
        _text("model_index.json", "[]"),
        r"model_index\.json holds no JSON object",
    ),
    "another pipeline": (
        _index(_class_name="AudioLDMPipeline"),
        "names the pipeline 'AudioLDMPipeline'; expected one of ",
    ),
    "no pipeline": (_without("_class_name"), "names the pipeline None; expected one of"),
    "a custom pipeline": (
        _index(_class_name=["pipeline.py", "X"]),
        r"names the pipeline \['pipeline\.py', 'X'\]; expected one of",
    ),
    "a table of pipelines": (
        _index(_class_name={"a": 1}),
        r"names the pipeline \{'a': 1\}; expected one of",
    ),
    "a process": (
        _index(unet=["subprocess", "Popen"]),
        rf"names unet = \['subprocess', 'Popen'\], {_NO_PLACE}",
    ),
    "a process under a new name": (
        _index(extra=["subprocess", "Popen"]),
        rf"names extra = .*, {_NO_PLACE}",
    ),
    "a class of the folder's own": (
        _index(unet=["pipeline", "UNet2DConditionModel"]),
        rf"names unet = .*, {_NO_PLACE}",
    ),
    "a component of another backbone": (
        _index(transformer=["diffusers", "FluxTransformer2DModel"]),
        rf"transformer = .*, {_NO_PLACE}",
    ),
    "a scheduler of another backbone": (
        _index(scheduler=["diffusers", "FlowMatchEulerDiscreteScheduler"]),
        rf"scheduler = .*, {_NO_PLACE}",
    ),
    "a class that is a list": (
        _index(vae=["diffusers", ["AutoencoderKL"]]),
        rf"names vae = .*, {_NO_PLACE}",
    ),
    "three entries": (
        _index(vae=["diffusers", "AutoencoderKL", "x"]),
        rf"names vae = .*, {_NO_PLACE}",
    ),
    "a component that is null": (_index(vae=[None, None]), rf"names vae = .*, {_NO_PLACE}"),
    "a switch that is none": (
        _index(requires_safety_checker=["subprocess", "Popen"]),
        rf"requires_safety_checker = .*, {_NO_PLACE}",
    ),
    "no autoencoder": (
        _without("vae"),
        "copy has no vae; a StableDiffusionPipeline folder needs one",
    ),
    "no folder of the autoencoder": (
        _remove("vae"),
        "copy has no vae; a StableDiffusionPipeline folder needs one",
    ),
    "no tokenizer": (
        _remove("tokenizer"),
        "copy has no tokenizer; a StableDiffusionPipeline folder needs one",
    ),
    "no weights": (
        _remove("vae/diffusion_pytorch_model.safetensors"),
        "vae holds no safetensors weights; expected",
    ),
    "no config": (_remove("unet/config.json"), r"unet has no config\.json"),
    "no scheduler's config": (
        _remove("scheduler/scheduler_config.json"),
        r"scheduler has no scheduler_config\.json",
    ),
    "a config nested without end": (
        _text("unet/config.json", "[" * 10**5),
        r"unet/config\.json is not JSON",
    ),
    "a scheduler's config that is a list": (
        _text("scheduler/scheduler_config.json", "[]"),
        r"scheduler_config\.json holds no JSON obj",
    ),
    "an adapter": (
        _text("text_encoder/adapter_config.json", "{}"),
        r"text_encoder holds adapter_config\.json",
    ),
    "a vocabulary that is none": (
        _text("tokenizer/tokenizer.json", "{}"),
        "tokenizer cannot be loaded as CLIPTokenizer",
    ),
    "weights that were cut short": (
        lambda folder: os.truncate(folder / "unet" / "diffusion_pytorch_model.safetensors", 30_000),
        "is cut short: its header names bytes beyond its 30000",
    ),
}


@pytest.mark.parametrize(("damage", "sentence"), UNFIT.values(), ids=UNFIT)
def test_a_folder_that_is_not_a_checkpoint_is_refused_and_none_of_its_code_is_executed(
    folder: Path, damage: Callable[[Path], object], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _custom(folder)
    monkeypatch.syspath_prepend(folder)
    _read(folder)
    damage(folder)
    with pytest.raises(InputError, match=sentence):
        _read(folder)
    assert not (folder / "sprung").exists()


@pytest.mark.parametrize(
    "name",
    [
        "model_index.json",
        "unet",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "scheduler/scheduler_config.json",
        "tokenizer",
        "tokenizer/tokenizer.json",
    ],
)
def test_a_link_that_leaves_the_folder_is_refused(folder: Path, name: str) -> None:
    outside = folder.parent / "outside"
    (folder / name).rename(outside)
    (folder / name).symlink_to(outside)
    with pytest.raises(
        InputError,
        match=rf"{name} is a link to .*outside, outside of .*copy; put the file itself there",
    ):
        _read(folder)
    assert _read(folder, root=folder.parent).models, (
        "inside the root that the caller allows, links are followed"
    )
    if outside.is_file():
        outside.unlink()
        with pytest.raises(InputError, match=rf"{name} is a link to nothing"):
            _read(folder)


def test_a_link_within_the_folder_is_followed(folder: Path) -> None:
    (folder / "unet").rename(folder / "weights")
    (folder / "unet").symlink_to("weights")
    assert _read(folder).models["unet"].tensors


def test_a_folder_that_is_a_link_itself_is_read(folder: Path) -> None:
    (folder.parent / "link").symlink_to(folder)
    assert _read(folder.parent / "link").models["unet"].tensors
