"""Fingerprints: the same for a checkpoint in every format, another for every difference."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from safetensors.torch import load_file, save_file

from spqr_tests.checkpoint.backbones import BACKBONES
from spqr_tests.checkpoint.fingerprint import fingerprint
from spqr_tests.checkpoint.formats import pipeline_folder
from spqr_tests.checkpoint.lora.update import Lora, Update
from spqr_tests.checkpoint.parts import Parts
from spqr_tests.errors import InputError
from tests.tiny import backbones, edit_json, edit_tensors

if TYPE_CHECKING:
    import torch

UNET = "unet/diffusion_pytorch_model.safetensors"
VAE = "vae/diffusion_pytorch_model.safetensors"
TEXT = "text_encoder/model.safetensors"
TRAINED = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"


def _parts(folder: Path) -> Parts:
    return pipeline_folder.read("some", folder, BACKBONES, allow_pickle=True)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return backbones.build("sd1", tmp_path_factory.mktemp("pipelines") / "base")


@pytest.fixture(scope="module")
def expected(base: Path) -> str:
    return fingerprint(_parts(base))


@pytest.fixture
def folder(base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(base, tmp_path / "copy"))


def _variant(folder: Path) -> None:
    (folder / UNET).rename(folder / "unet" / "diffusion_pytorch_model.fp16.safetensors")


def _pickle(folder: Path) -> None:
    import torch

    for file, name in ((UNET, "diffusion_pytorch_model.bin"), (TEXT, "pytorch_model.bin")):
        torch.save(load_file(folder / file), (folder / file).with_name(name))
        (folder / file).unlink()


def _shards(folder: Path) -> None:
    tensors = load_file(folder / UNET)
    names = sorted(tensors)
    weight_map = {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        shard = f"diffusion_pytorch_model-{number:05}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, folder / "unet" / shard)
        weight_map |= dict.fromkeys(part, shard)
    (folder / UNET).unlink()
    (folder / f"{UNET}.index.json").write_text(
        json.dumps({"weight_map": weight_map}), encoding="utf-8"
    )


def _prefix(folder: Path) -> None:
    def rename(tensors: dict[str, Any]) -> None:
        for name in list(tensors):
            tensors[f"text_model.{name.removeprefix('text_model.')}"] = tensors.pop(name)

    edit_tensors(folder / TEXT, rename)


def _fewer_defaults(folder: Path) -> None:
    edit_json(folder / "unet" / "config.json", lambda table: table.pop("act_fn"))
    edit_json(
        folder / "text_encoder" / "config.json",
        lambda table: table.update({"torch_dtype": "float16", "_name_or_path": "x"}),
    )


def _strangers(folder: Path) -> None:
    (folder / "README.md").write_text("A model.", encoding="utf-8")
    shutil.copy(folder / UNET, folder / "text_encoder" / "diffusion_pytorch_model.safetensors")
    (folder / "tokenizer" / "notes.txt").write_text("none", encoding="utf-8")


@pytest.mark.parametrize(
    "change", [lambda _: None, _variant, _pickle, _shards, _prefix, _fewer_defaults, _strangers]
)
def test_a_checkpoint_stored_otherwise_has_the_same_fingerprint(
    folder: Path, expected: str, change: Callable[[Path], object]
) -> None:
    change(folder)
    assert fingerprint(_parts(folder)) == expected


def test_a_checkpoint_saved_again_has_the_same_fingerprint(
    base: Path, expected: str, tmp_path: Path
) -> None:
    from diffusers import StableDiffusionPipeline

    StableDiffusionPipeline.from_pretrained(
        base, safety_checker=None, local_files_only=True
    ).save_pretrained(tmp_path / "again", max_shard_size="10KB")
    assert len(list((tmp_path / "again" / "unet").glob("*.safetensors"))) > 1
    assert fingerprint(_parts(tmp_path / "again")) == expected


def _one_element(file: str) -> Callable[[Path], None]:
    def edit(tensors: "dict[str, torch.Tensor]") -> None:
        tensors[min(name for name in tensors if name.endswith("weight"))].view(-1)[-1] += 1e-3

    return lambda folder: edit_tensors(folder / file, edit)


def _half(folder: Path) -> None:
    edit_tensors(folder / UNET, lambda tensors: tensors.update({TRAINED: tensors[TRAINED].half()}))


def _scheduler(folder: Path) -> None:
    """Another class, in the index and in its config."""
    name = "EulerDiscreteScheduler"
    _config("model_index.json", "scheduler", ["diffusers", name])(folder)
    _config("scheduler/scheduler_config.json", "_class_name", name)(folder)


def _swap(folder: Path) -> None:
    """Exchange two tensors of one shape."""
    other = TRAINED.replace("to_k", "to_v")
    edit_tensors(
        folder / UNET,
        lambda tensors: tensors.update({TRAINED: tensors[other], other: tensors[TRAINED]}),
    )


def _config(file: str, key: str, value: Any) -> Callable[[Path], None]:
    return lambda folder: edit_json(folder / file, lambda table: table.update({key: value}))


@pytest.mark.parametrize(
    "change",
    [
        _one_element(UNET),
        _one_element(VAE),
        _one_element(TEXT),
        _half,
        _swap,
        _config("unet/config.json", "norm_eps", 1e-4),
        _config("vae/config.json", "scaling_factor", 0.2),
        _config("text_encoder/config.json", "hidden_act", "gelu"),
        _config("scheduler/scheduler_config.json", "prediction_type", "v_prediction"),
        _config("scheduler/scheduler_config.json", "steps_offset", 0),
        _scheduler,
        _config("tokenizer/tokenizer_config.json", "pad_token", "!"),
    ],
)
def test_one_difference_changes_the_fingerprint(
    folder: Path, expected: str, change: Callable[[Path], object]
) -> None:
    change(folder)
    assert fingerprint(_parts(folder)) != expected


def test_switches_and_low_rank_updates_count(base: Path, expected: str) -> None:
    parts = _parts(base)
    piece = parts.models["unet"].tensors[TRAINED]
    loras = [Lora((Update("unet", TRAINED, piece, piece, scale),)) for scale in (0.5, 1.0)]
    others = [replace(parts, arguments={"switch": True}), replace(parts, loras=tuple(loras))]
    others += [replace(parts, loras=(lora,)) for lora in loras]
    assert len({expected, *map(fingerprint, others)}) == 5


@pytest.mark.parametrize("name", backbones.NAMES)
def test_each_backbone_has_one_of_its_own(name: str, expected: str, tmp_path: Path) -> None:
    found = fingerprint(_parts(backbones.build(name, tmp_path / name)))
    assert len(found) == 64
    assert (found == expected) == (name == "sd1")


def test_weights_that_cannot_be_read_to_their_end_are_refused(folder: Path) -> None:
    parts = _parts(folder)
    (folder / UNET).write_bytes((folder / UNET).read_bytes()[:-64])
    with pytest.raises(InputError, match="was cut short while it was read"):
        fingerprint(parts)


def test_neither_torch_nor_the_libraries_are_needed(base: Path, expected: str) -> None:
    code = f"""
import sys
from pathlib import Path
from spqr_tests.checkpoint.backbones import BACKBONES
from spqr_tests.checkpoint.fingerprint import fingerprint
from spqr_tests.checkpoint.formats import pipeline_folder
print(fingerprint(pipeline_folder.read("some", Path({str(base)!r}), BACKBONES, allow_pickle=True)))
print(sorted({{"torch", "diffusers", "transformers", "open_clip", "pytest"}} & sys.modules.keys()))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split("\n")[:2] == [expected, "[]"]
