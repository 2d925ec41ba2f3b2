"""What is not weights is named by what it is, wherever weights are asked for."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from spqr_tests.checkpoint.checkpoint import read
from spqr_tests.checkpoint.formats.safetensors_file import SafetensorsFile
from spqr_tests.errors import InputError
from tests.checkpoint.tiny_pipelines import FolderOf

POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:a40ca00944bb33ea9281580f50d009d1e23a434173c0e4e234bb90bd75178874\nsize 582\n"
)
IS_A_POINTER = "is a git-lfs pointer and not the file itself: fetch it with `git lfs pull`"
NOT_WEIGHTS = {
    "notes": (b"# Notes\n\nThe weights are elsewhere.\n", "text that begins with '# Notes The'"),
    "one word": (b"todo", "text that begins with 'todo'"),
    "an accent": (
        "Überblick über die Gewichte, die es gibt".encode(),
        "text that begins with 'Überblick über die'",
    ),
    "an accent that is cut": (("x" * 63 + "é" * 9).encode(), "text that begins with 'xxx"),
    "a byte order mark": (b"\xef\xbb\xbfnotes of the run", "text that begins with 'notes of"),
    "UTF-16": ("notes of the run".encode("utf-16"), "text in UTF-16"),
    "JSON": (b'{"weight_map": {}}', "text that begins with"),
    "a page": (b"\n<!DOCTYPE html><html><body>Access denied", "a web page"),
    "GGUF": (b"GGUF\x03\x00\x00\x00" + bytes(80), "a GGUF file, whose weights are quantised"),
    "gzip without a date": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + bytes(80), "a gzip"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(80), "a picture (PNG)"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(80), "an HDF5 file"),
}


@pytest.mark.parametrize(("content", "words"), NOT_WEIGHTS.values(), ids=NOT_WEIGHTS)
@pytest.mark.parametrize("name", ["notes.txt", "model.safetensors", "model.ckpt", "model.gguf"])
@pytest.mark.parametrize("allow_pickle", [True, False])
def test_a_model_that_is_no_file_of_weights(
    tmp_path: Path, content: bytes, words: str, name: str, *, allow_pickle: bool
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as refused:
        read(str(path), path, allow_pickle=allow_pickle)
    said = f"{name} is not a safetensors file: it is {words}"
    if name.endswith(".gguf") and content.startswith(b"GGUF"):
        said = f"{name} is a GGUF file that cannot be read"
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("place", ["a component's weights", "an overlay", "an overlay's folder"])
@pytest.mark.parametrize(("content", "words"), NOT_WEIGHTS.values(), ids=NOT_WEIGHTS)
def test_the_same_in_other_places(
    pipeline_folder_of: FolderOf, tmp_path: Path, place: str, content: bytes, words: str
) -> None:
    folder = Path(shutil.copytree(pipeline_folder_of("sd1"), tmp_path / "model"))
    overlays = []
    if place == "a component's weights":
        path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    elif place == "an overlay":
        path = tmp_path / "overlay.pt"
        overlays = [path]
    else:
        path = tmp_path / "lora" / "pytorch_lora_weights.safetensors"
        path.parent.mkdir()
        overlays = [path.parent]
    path.write_bytes(content)
    with pytest.raises(InputError) as refused:
        read("some", folder, overlays=overlays, allow_pickle=True)
    assert f"{path.name} is not a safetensors file: it is {words}" in str(refused.value)


def test_no_safetensors_file_is_taken_for_another(
    tmp_path: Path,
) -> None:
    """Whatever the first bytes of its header's length are."""
    for length in range(20, 400, 8):
        path = tmp_path / "some.safetensors"
        save_file({"x" * length: torch.zeros(1)}, path)
        assert SafetensorsFile(path).tensors


FILES = [
    "model_index.json",
    "scheduler/scheduler_config.json",
    "transformer/config.json",
    "transformer/diffusion_pytorch_model.safetensors.index.json",
    "transformer/diffusion_pytorch_model-00001-of-00003.safetensors",
    "vae/config.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/tokenizer_config.json",
    "tokenizer/special_tokens_map.json",
    "tokenizer/tokenizer.json",
    "tokenizer/vocab.json",
    "tokenizer/merges.txt",
    "tokenizer/added_tokens.json",
    "tokenizer_3/tokenizer.json",
    "tokenizer_3/tokenizer_config.json",
    "tokenizer_3/spiece.model",
]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("weightless", [False, True])
def test_a_pointer_in_place_of_any_file_of_a_pipeline_is_refused(
    pipeline_folder_of: FolderOf, tmp_path: Path, name: str, *, weightless: bool
) -> None:
    folder = _sharded(pipeline_folder_of("sd3"), tmp_path)
    place = folder / name
    if name.endswith("spiece.model"):
        (place.parent / "tokenizer.json").unlink()
    if place.name in {"vocab.json", "merges.txt"}:
        # Of the other file of the pair, the content is not reached.
        for other in ("vocab.json", "merges.txt"):
            (place.parent / other).write_text("{}", encoding="utf-8")
    place.write_text(POINTER, encoding="utf-8")
    with pytest.raises(InputError) as refused:
        read("some", folder, weightless=weightless)
    assert f"{name} {IS_A_POINTER}" in str(refused.value)


@pytest.mark.parametrize(
    "name",
    [
        "overlay.pt",
        "overlay.safetensors",
        "lora/adapter_config.json",
        "lora/adapter_model.safetensors",
        "lora/adapter_model.bin",
        "saved/pytorch_lora_weights.safetensors",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
    ],
)
def test_a_pointer_in_place_of_any_overlay_is_refused(
    pipeline_folder_of: FolderOf, tmp_path: Path, name: str
) -> None:
    base = pipeline_folder_of("sd1")
    place = tmp_path / name
    if name.startswith("unet/"):
        shutil.copytree(base / "unet", place.parent)
    place.parent.mkdir(exist_ok=True)
    if name.startswith("lora/"):
        (place.parent / "adapter_config.json").write_text("{}", encoding="utf-8")
        if name.endswith(".json"):
            shutil.copy(base / "vae" / "diffusion_pytorch_model.safetensors", place.parent)
            (place.parent / "diffusion_pytorch_model.safetensors").rename(
                place.parent / "adapter_model.safetensors"
            )
    place.write_text(POINTER, encoding="utf-8")
    overlay = place if place.parent == tmp_path else place.parent
    with pytest.raises(InputError) as refused:
        read("some", base, overlays=[overlay], allow_pickle=True)
    assert f"{name} {IS_A_POINTER}" in str(refused.value)


@pytest.mark.parametrize("name", ["model.safetensors", "model.ckpt", "model"])
def test_a_pointer_in_place_of_a_single_file_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(POINTER, encoding="utf-8")
    with pytest.raises(InputError) as refused:
        read(str(path), path, allow_pickle=True)
    assert f"{name} {IS_A_POINTER}" in str(refused.value)


def _sharded(source: Path, tmp_path: Path) -> Path:
    """A copy of a pipeline whose transformer is in three shards."""
    folder = Path(shutil.copytree(source, tmp_path / "model"))
    whole = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(whole)
    whole.unlink()
    places = {}
    for number in range(3):
        shard = f"diffusion_pytorch_model-0000{number + 1}-of-00003.safetensors"
        part = {name: tensors[name] for name in sorted(tensors)[number::3]}
        save_file(part, whole.with_name(shard))
        places |= dict.fromkeys(part, shard)
    whole.with_name(f"{whole.name}.index.json").write_text(
        json.dumps({"weight_map": places}), encoding="utf-8"
    )
    return folder
