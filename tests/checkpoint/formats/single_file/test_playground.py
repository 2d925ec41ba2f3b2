"""Single files of Playground 2.5, whose tensors are Stable Diffusion XL's and two more."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from spqr_tests.checkpoint.backbones import BACKBONES
from spqr_tests.checkpoint.checkpoint import read as read_checkpoint
from spqr_tests.checkpoint.fingerprint import fingerprint
from spqr_tests.checkpoint.formats import configs, pipeline_folder, single_file
from spqr_tests.checkpoint.formats.layouts import playground
from spqr_tests.checkpoint.formats.safetensors_file import SafetensorsFile
from spqr_tests.checkpoint.parts import Parts
from spqr_tests.checkpoint.strengths import Given
from spqr_tests.errors import InputError
from tests.checkpoint.formats.originals import original
from tests.checkpoint.formats.single_file.single_files import Published, Shapes, header, read
from tests.checkpoint.tiny_pipelines import FolderOf, Tensors
from tests.tiny.families.playground import PLAYGROUND

_STATED = ("edm_mean", "edm_std")
_PUBLISHED = PLAYGROUND.published[0].configs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("playground") / "folder"
    PLAYGROUND.make().save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def tensors(folder: Path) -> Tensors:
    """The pipeline in its authors' layout."""
    from diffusers import StableDiffusionXLPipeline

    return original(StableDiffusionXLPipeline.from_pretrained(folder), "playground")


def _published(path: Path, shapes: Shapes, numbers: list[list[float]]) -> Parts:
    """What a file of these shapes is read as, whose first tensors hold the given numbers."""
    first = {name: (len(one),) for name, one in zip(_STATED, numbers, strict=True)}
    rest = {name: shape for name, shape in shapes.items() if name not in _STATED}
    header(path, first | rest)
    with path.open("r+b") as file:
        file.seek(8 + int.from_bytes(file.read(8), "little"))
        file.write(np.concatenate(numbers).astype("<f2").tobytes())
    return single_file.read("m", SafetensorsFile(path), BACKBONES, None)


def _numbers() -> list[list[float]]:
    return [list(_PUBLISHED["vae"][key]) for key in ("latents_mean", "latents_std")]


def test_the_published_file_is_recognised(published: Published, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    parts = _published(path, published["playground-2.5"], _numbers())
    assert parts.backbone.name == "Playground 2.5"
    assert parts.pipeline_class == "StableDiffusionXLPipeline"
    assert parts.arguments == {"force_zeros_for_empty_prompt": True}
    for component, expected in _PUBLISHED.items():
        if component == "scheduler":
            found = {"_class_name": parts.scheduler[0], **parts.scheduler[1]}
        else:
            model = parts.models[component]
            found = configs.whole(model.model_class, model.config)
        assert {key: found[key] for key in expected} == expected
    assert len(parts.models["unet"].tensors) == 1680


def test_the_scheduler_is_diffusers_own() -> None:
    from diffusers import EDMDPMSolverMultistepScheduler

    name, settings = playground.ORIGINAL.presets[0].scheduler
    assert name == "EDMDPMSolverMultistepScheduler"
    known = {
        key: value
        for key, value in EDMDPMSolverMultistepScheduler().config.items()
        if key in settings
    }
    assert settings == known


def _swapped(numbers: list[list[float]]) -> list[list[float]]:
    return numbers[::-1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_swapped, "edm_mean is not the vae's latents_mean"),
        (lambda one: [one[0], [*one[1][:3], float("nan")]], "edm_std is not the vae's latents_std"),
        (lambda one: [one[0][:3], one[1]], "edm_mean is not the vae's latents_mean"),
    ],
)
def test_other_statistics_are_of_another_model(
    change: Any, words: str, published: Published, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words) as refused:
        _published(tmp_path / "model.safetensors", published["playground-2.5"], change(_numbers()))
    assert "or the model as a diffusers folder." in str(refused.value)


def test_stable_diffusion_xl_is_not_taken_for_it(published: Published, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    shapes = published["playground-2.5"]
    for name, config, words in (
        ("edm_std", None, "are not those of a published checkpoint"),
        ("edm_std", "playground-2.5", "lacks edm_std, which tells it from other models"),
        ("", "sdxl", r"2 of its \d+ tensors have no place, edm_mean"),
    ):
        file = header(path, {key: shape for key, shape in shapes.items() if key != name})
        with pytest.raises(InputError, match=words):
            single_file.read("m", file, BACKBONES, config)


def test_a_file_is_the_folder_it_was_made_of(
    folder: Path, tensors: Tensors, tmp_path: Path
) -> None:
    parts = read(tmp_path / "model.safetensors", tensors, folder)
    expected = pipeline_folder.read("x", folder, BACKBONES, allow_pickle=False)
    assert fingerprint(parts) == fingerprint(expected)
    assert parts.backbone is expected.backbone
    assert parts.scheduler == expected.scheduler


def test_as_an_overlay_it_belongs_to_its_own_family(
    folder: Path, tensors: Tensors, pipeline_folder_of: FolderOf, tmp_path: Path
) -> None:
    name = "model.diffusion_model.out.2.bias"
    changed = tensors | {name: tensors[name] + 1}
    path = tmp_path / "model.safetensors"
    save_file(changed, path)
    found = read_checkpoint("base", folder, overlays=[Given(path)])
    assert "in the names of a Playground 2.5 checkpoint" in found.recognised[-1]
    with pytest.raises(InputError, match=r"Its tensors are those of Playground 2\.5"):
        read_checkpoint("base", pipeline_folder_of("sdxl"), overlays=[Given(path)])
    save_file(changed | {"edm_std": torch.ones(4)}, path)
    with pytest.raises(InputError, match="edm_std is not the vae's latents_std"):
        read_checkpoint("base", folder, overlays=[Given(path)])
