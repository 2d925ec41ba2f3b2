"""Weights that do not fit their config are refused when a checkpoint is read, without torch."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from spqr_tests.checkpoint.checkpoint import read
from spqr_tests.errors import InputError
from tests.checkpoint.tiny_pipelines import FolderOf
from tests.tiny import backbones, edit_json

UNET = "unet/diffusion_pytorch_model.safetensors"


def _refusal(folder: Path) -> str:
    with pytest.raises(InputError) as refused:
        read("some", folder)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.fixture
def copy_of(pipeline_folder_of: FolderOf, tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: Path(shutil.copytree(pipeline_folder_of(name), tmp_path / name))


def _change(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


MISFITS: dict[str, tuple[str, Callable[[dict[str, torch.Tensor]], object], str]] = {
    "one is missing": (
        UNET,
        lambda tensors: tensors.pop("mid_block.resnets.0.conv1.bias"),
        "lacks 1 tensors of its unet, mid_block.resnets.0.conv1.bias first",
    ),
    "one is left over": (
        UNET,
        lambda tensors: tensors.update(extra=torch.zeros(1)),
        "holds what the model has no place for: 1 tensors of its unet, extra first",
    ),
    "more input channels": (
        UNET,
        lambda tensors: tensors.update({"conv_in.weight": torch.zeros(8, 9, 3, 3)}),
        "has another shape for 1 tensors of its unet, conv_in.weight ([8, 9, 3, 3], expected [8, 4",
    ),
    "a wider last layer": (
        "vae/diffusion_pytorch_model.safetensors",
        lambda tensors: tensors.update({"decoder.conv_out.weight": torch.zeros(4, 8, 3, 3)}),
        "has another shape for 1 tensors of its vae, decoder.conv_out.weight",
    ),
    "a vocabulary of another size": (
        "text_encoder/model.safetensors",
        lambda tensors: tensors.update(
            {
                name: torch.zeros(512, 16)
                for name in tensors
                if name.endswith("token_embedding.weight")
            }
        ),
        "has another shape for 1 tensors of its text_encoder, embeddings.token_embedding.weight",
    ),
    "a projection that the class has not": (
        "text_encoder/model.safetensors",
        lambda tensors: tensors.update({"text_projection.weight": torch.zeros(16, 16)}),
        "holds what the model has no place for: 1 tensors of its text_encoder, text_projection",
    ),
}


@pytest.mark.parametrize(("path", "change", "words"), MISFITS.values(), ids=MISFITS)
def test_weights_that_do_not_fit_their_config_are_refused_at_once(
    copy_of: Callable[[str], Path],
    path: str,
    change: Callable[[dict[str, torch.Tensor]], object],
    words: str,
) -> None:
    folder = copy_of("sd1")
    _change(folder / path, change)
    said = _refusal(folder)
    assert path in said
    assert words in said
    assert "its weights must fit its config" in said
    # A plan needs configs alone.
    assert read("some", folder, weightless=True).parts.models


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("layers_per_block", 2, "lacks"),
        ("block_out_channels", [16, 32], "has another shape"),
        ("down_block_types", ["DownBlock2D", "DownBlock2D"], "has no place"),
        ("down_block_types", ["NoSuchBlock", "DownBlock2D"], "cannot be loaded as UNet2D"),
    ],
)
def test_a_config_that_does_not_fit_its_weights_is_refused_at_once(
    copy_of: Callable[[str], Path], key: str, value: object, words: str
) -> None:
    folder = copy_of("sd1")
    edit_json(folder / "unet" / "config.json", lambda table: table.update({key: value}))
    assert words in _refusal(folder)


@pytest.mark.parametrize("name", backbones.NAMES)
def test_what_fits_is_found_to_fit_without_torch(pipeline_folder_of: FolderOf, name: str) -> None:
    code = (
        "import sys, pathlib; from spqr_tests.checkpoint.checkpoint import read;"
        " read('some', pathlib.Path(sys.argv[1]));"
        " print({'torch', 'diffusers', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, pipeline_folder_of(name)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "set()\n"


def _unet(pipeline: Any, **changed: Any) -> Any:
    from diffusers import UNet2DConditionModel

    config = {key: one for key, one in pipeline.unet.config.items() if not key.startswith("_")}
    return UNet2DConditionModel(**config | changed)


def test_an_architecture_of_its_own_is_compared_with_the_libraries(
    tmp_path: Path,
) -> None:
    """The authors' layouts do not know it, which decides nothing."""
    pipeline = backbones.make("sd1")
    pipeline.register_modules(unet=_unet(pipeline, class_embed_type="timestep"))
    pipeline.save_pretrained(tmp_path / "model")
    assert read("some", tmp_path / "model").parts.models["unet"].tensors
    _change(tmp_path / "model" / UNET, lambda tensors: tensors.pop("conv_in.bias"))
    assert "lacks 1 tensors of its unet, conv_in.bias first" in _refusal(tmp_path / "model")


def test_a_latent_consistency_model_fits(tmp_path: Path) -> None:
    from diffusers import LCMScheduler

    pipeline = backbones.make("sd1")
    pipeline.register_modules(
        unet=_unet(pipeline, time_cond_proj_dim=16),
        scheduler=LCMScheduler.from_config(pipeline.scheduler.config),
    )
    pipeline.save_pretrained(tmp_path / "model")
    checkpoint = read("some", tmp_path / "model")
    published = checkpoint.backbone.published(
        {name: model.config for name, model in checkpoint.parts.models.items()}
    )
    assert (published.steps, published.guidance) == (4, 8.0)
    assert checkpoint.pipeline("cpu", "float32").unet.config.time_cond_proj_dim == 16
