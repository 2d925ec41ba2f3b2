"""Loading: a pipeline that generates as the original does, or an error with the reason."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spqr_tests.checkpoint import loading
from spqr_tests.checkpoint.checkpoint import read
from spqr_tests.errors import InputError
from tests.seconds import PATIENCE
from tests.tiny import backbones, edit_json, edit_tensors


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of each backbone; read only."""
    return {
        name: backbones.build(name, tmp_path_factory.mktemp("backbones") / name)
        for name in backbones.NAMES
    }


def _images(pipeline: Any) -> Any:
    import torch

    options = {
        "num_inference_steps": 2,
        "height": backbones.SIDE,
        "width": backbones.SIDE,
        "output_type": "np",
    }
    return torch.from_numpy(
        pipeline("a red heart", generator=torch.Generator().manual_seed(7), **options).images
    )


@pytest.mark.parametrize("name", backbones.NAMES)
def test_a_loaded_pipeline_generates_what_the_saved_one_did(
    folders: dict[str, Path], name: str
) -> None:
    import torch

    original, loaded = backbones.make(name), read(name, folders[name]).pipeline("cpu", "float32")
    assert type(loaded) is type(original)
    torch.testing.assert_close(_images(loaded), _images(original), rtol=0, atol=1e-5)
    assert all(
        not parameter.requires_grad
        for parameter in getattr(loaded, "unet", loaded.vae).parameters()
    )


@pytest.mark.parametrize("name", backbones.NAMES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_pipeline_is_loaded_in_the_protocols_precision(
    folders: dict[str, Path], name: str, dtype: str
) -> None:
    import torch

    pipeline = read(name, folders[name]).pipeline("cpu", dtype)
    for component in pipeline.components.values():
        if isinstance(component, torch.nn.Module):
            found = {
                p.dtype
                for part, p in component.named_parameters()
                if not part.endswith(".wo.weight")
            }
            assert found == {getattr(torch, dtype)}
    # T5 overflows in float16, so transformers keeps these weights in float32.
    if name in ("sd3", "flux"):
        t5 = pipeline.text_encoder_3 if name == "sd3" else pipeline.text_encoder_2
        kept = {p.dtype for part, p in t5.named_parameters() if part.endswith(".wo.weight")}
        assert kept == {torch.float32 if dtype == "float16" else torch.bfloat16}


def test_switches_of_the_index_reach_the_pipeline(folders: dict[str, Path], tmp_path: Path) -> None:
    pipeline = backbones.make("sdxl")
    pipeline.register_to_config(force_zeros_for_empty_prompt=False)
    pipeline.save_pretrained(tmp_path)
    assert (
        read("sdxl", tmp_path).pipeline("cpu", "float32").config.force_zeros_for_empty_prompt
        is False
    )
    assert (
        read("sdxl", folders["sdxl"]).pipeline("cpu", "float32").config.force_zeros_for_empty_prompt
        is True
    )
    assert read("sdxl", tmp_path).fingerprint != read("sdxl", folders["sdxl"]).fingerprint


def test_a_library_that_lacks_a_class_is_named(folders: dict[str, Path]) -> None:
    parts = read("sd1", folders["sd1"]).parts
    old = dict(parts.models) | {"vae": replace(parts.models["vae"], model_class="NotYet")}
    for lacking in (replace(parts, pipeline_class="NotYet"), replace(parts, models=old)):
        for build in (loading.skeleton, lambda given: loading.load(given, "cpu", "float32")):
            with pytest.raises(
                InputError, match=r"^The installed diffusers has no NotYet, which this checkpoint"
            ):
                build(lacking)


def _first(tensors: dict[str, Any]) -> str:
    return min(name for name in tensors if name.endswith("weight") and tensors[name].ndim > 1)


def _set(value: float) -> Callable[[dict[str, Any]], None]:
    def edit(tensors: dict[str, Any]) -> None:
        tensors[_first(tensors)].view(-1)[-1] = value

    return edit


def _shorten(tensors: dict[str, Any]) -> None:
    name = _first(tensors)
    tensors[name] = tensors[name][:-1].clone()


UNFIT: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "missing": (
        lambda tensors: tensors.pop(_first(tensors)),
        "lacks 1 tensors of its {component}, .* first; its weights must fit",
    ),
    "left over": (
        lambda tensors: tensors.update(left_over=tensors[_first(tensors)].clone()),
        "holds what the model has no place for: 1 tensors of its {component}, left_over first",
    ),
    "another shape": (
        _shorten,
        r"has another shape for 1 tensors of its {component}, .* \(\[.*\], expected \[.*\]\) first",
    ),
    "nan": (
        _set(float("nan")),
        r"the weights of .* \({component}\) are not all finite numbers in float32",
    ),
    "infinite": (_set(float("-inf")), r"\({component}\) are not all finite numbers"),
    "beyond half precision": (
        _set(1e6),
        r"\({component}\) are not all finite numbers in float16; .* or needs another dtype",
    ),
}
COMPONENTS = [
    ("sdxl", "unet"),
    ("sd3", "transformer"),
    ("flux", "transformer"),
    ("flux", "vae"),
    ("sdxl", "text_encoder_2"),
    ("sd3", "text_encoder_3"),
]


@pytest.mark.parametrize(
    ("name", "component"), COMPONENTS, ids=["-".join(pair) for pair in COMPONENTS]
)
@pytest.mark.parametrize("damage", UNFIT)
def test_weights_that_do_not_fit_are_refused(
    folders: dict[str, Path], tmp_path: Path, name: str, component: str, damage: str
) -> None:
    folder = _copy(folders[name], tmp_path / "copy", component)
    edit, sentence = UNFIT[damage]
    edit_tensors(next((folder / component).glob("*.safetensors")), edit)
    dtype = "float16" if "half" in damage else "float32"
    with pytest.raises(InputError, match=f"{component}.*{sentence.format(component=component)}"):
        read(name, folder).pipeline("cpu", dtype)


def _copy(folder: Path, to: Path, component: str) -> Path:
    """A copy in which one component may be changed; the rest are hard links."""
    import os
    import shutil

    shutil.copytree(folder, to, copy_function=os.link)
    shutil.rmtree(to / component)
    shutil.copytree(folder / component, to / component)
    return to


CONFIGS = [
    (
        "sd1",
        "unet",
        "layers_per_block",
        10**9,
        "its config says layers_per_block = 1000000000, far more than in any",
    ),
    (
        "sd1",
        "unet",
        "cross_attention_dim",
        2**40,
        "its config says cross_attention_dim = 1099511627776",
    ),
    (
        "sd1",
        "text_encoder",
        "num_hidden_layers",
        10**6,
        "its config says num_hidden_layers = 1000000",
    ),
    (
        "sd3",
        "transformer",
        "pos_embed_max_size",
        2**20,
        "has another shape for 1 tensors of its transformer, pos_embed",
    ),
    (
        "flux",
        "text_encoder_2",
        "vocab_size",
        2**20,
        "has another shape for 1 tensors of its text_encoder_2, shared",
    ),
    ("sd1", "unet", "block_out_channels", [2**20, 2**20], "its weights must fit its config"),
    (
        "sd1",
        "unet",
        "down_block_types",
        ["NoSuchBlock", "DownBlock2D"],
        "cannot be loaded as UNet2DConditionModel: ",
    ),
    ("sd1", "vae", "norm_num_groups", 3, "cannot be loaded as AutoencoderKL: "),
]
CHECK = """
import resource, sys
from pathlib import Path
import torch, diffusers, transformers
from diffusers import AutoencoderKL, FluxPipeline, StableDiffusion3Pipeline, StableDiffusionPipeline
from transformers import CLIPTextModel, T5EncoderModel
from spqr_tests.checkpoint.checkpoint import read

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for folder in sys.argv[1:]:
    try:
        read("some", Path(folder)).pipeline("cpu", "float32")
    except Exception as error:
        print(type(error).__name__, str(error).replace("\\n", " "))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_config_that_does_not_fit_is_refused_before_memory_is_taken(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    damaged = []
    for number, (name, component, key, value, _) in enumerate(CONFIGS):
        folder = _copy(folders[name], tmp_path / f"{number}", component)
        edit_json(
            folder / component / "config.json",
            lambda table, key=key, value=value: table.update({key: value}),
        )
        damaged.append(folder)
    done = subprocess.run(
        [sys.executable, "-c", CHECK, *damaged],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    *said, taken = done.stdout.splitlines()
    for line, (_, component, _, _, sentence) in zip(said, CONFIGS, strict=True):
        assert line.startswith("InputError"), done.stdout
        assert component in line
        assert sentence in line
    # In KiB. Models of these configs would need gigabytes.
    assert int(taken) < 300_000
