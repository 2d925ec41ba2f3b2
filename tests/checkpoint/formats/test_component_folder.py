"""A component's folder: which weights are chosen, and what its tensors are called."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from spqr_tests.checkpoint.formats import component_folder
from spqr_tests.checkpoint.formats.safetensors_file import SafetensorsFile
from spqr_tests.checkpoint.formats.tensor import ModelTensor
from spqr_tests.checkpoint.parts import Component
from spqr_tests.errors import InputError
from tests.checkpoint.tiny_pipelines import FolderOf

PLAIN, HALF = "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors"
INDEX, HALF_INDEX = (
    "diffusion_pytorch_model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors.index.fp16.json",
)
PICKLE = "diffusion_pytorch_model.bin"


def _save(path: Path) -> None:
    """Save one tensor whose name is the file's; an index gets a shard of its own."""
    tensors = {path.name: torch.zeros(1)}
    if path.name.endswith(".json"):
        shard = f"shard-of-{path.name}.safetensors"
        save_file(tensors, path.with_name(shard))
        path.write_text(json.dumps({"weight_map": {path.name: shard}}), encoding="utf-8")
    elif path.suffix == ".bin":
        torch.save(tensors, path)
    else:
        save_file(tensors, path)


def _chosen(folder: Path, library: str = "diffusers", *, allow_pickle: bool = False) -> str:
    weights = component_folder.open_weights(folder, library, allow_pickle=allow_pickle, root=folder)
    assert list(weights.tensors) == [weights.path.name]
    return weights.path.name


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        ([PLAIN], PLAIN),
        ([HALF], HALF),
        ([PLAIN, HALF, "diffusion_pytorch_model.non_ema.safetensors"], PLAIN),
        ([INDEX], INDEX),
        ([HALF_INDEX], HALF_INDEX),
        ([INDEX, HALF_INDEX], INDEX),
        ([PLAIN, HALF_INDEX], PLAIN),
        ([INDEX, HALF], INDEX),
        ([PLAIN, PICKLE], PLAIN),
        ([HALF, PICKLE], HALF),
        (
            [PLAIN, "model.safetensors", "flux1-dev.safetensors", "diffusion_flax_model.msgpack"],
            PLAIN,
        ),
    ],
)
def test_the_weights_without_a_variant_are_chosen_or_the_only_ones(
    tmp_path: Path, names: list[str], chosen: str
) -> None:
    for name in names:
        _save(tmp_path / name)
    assert _chosen(tmp_path) == chosen
    assert _chosen(tmp_path, allow_pickle=True) == chosen


@pytest.mark.parametrize(
    "name", ["model.safetensors", "model.bf16.safetensors", "model.safetensors.index.fp16.json"]
)
def test_transformers_has_names_of_its_own(tmp_path: Path, name: str) -> None:
    _save(tmp_path / PLAIN)
    _save(tmp_path / name)
    assert _chosen(tmp_path, "transformers") == name


@pytest.mark.parametrize(
    ("name", "library"),
    [
        (PICKLE, "diffusers"),
        ("diffusion_pytorch_model.fp16.bin", "diffusers"),
        ("pytorch_model.bin", "transformers"),
        ("pytorch_model.fp16.bin", "transformers"),
    ],
)
def test_pickles_are_chosen_last_and_with_permission(
    tmp_path: Path, name: str, library: str
) -> None:
    _save(tmp_path / name)
    assert _chosen(tmp_path, library, allow_pickle=True) == name
    with pytest.raises(
        InputError,
        match=rf"holds no safetensors weights; .* {name} is a pickle; .* pass --spqr-allow-pickle",
    ):
        _chosen(tmp_path, library)


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ([], rf"holds no safetensors weights; expected {PLAIN}\.$"),
        (["model.safetensors"], rf"expected {PLAIN}"),
        (
            [HALF, "diffusion_pytorch_model.bf16.safetensors"],
            "holds .*bf16.* and .*fp16.*, and no file with the plain name",
        ),
        (
            [HALF, "diffusion_pytorch_model.safetensors.index.bf16.json"],
            "and no file with the plain name",
        ),
        (
            [PLAIN, INDEX],
            rf"holds {INDEX}, which makes libraries load a file other than {PLAIN}; remove one",
        ),
        (
            [HALF, HALF_INDEX],
            rf"holds {HALF_INDEX}, which makes libraries load a file other than {HALF}",
        ),
        (
            [PLAIN, "adapter_config.json"],
            r"holds adapter_config\.json, which makes libraries load a file other than",
        ),
    ],
)
def test_ambiguous_weights_are_refused(tmp_path: Path, names: list[str], sentence: str) -> None:
    for name in names:
        _save(tmp_path / name)
    with pytest.raises(InputError, match=sentence):
        _chosen(tmp_path)


def test_a_folder_under_the_name_of_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / PLAIN).mkdir()
    with pytest.raises(InputError, match="is a folder; expected a file"):
        _chosen(tmp_path)


@pytest.mark.parametrize("name", [PLAIN, "config.json"])
def test_a_link_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "vae"
    folder.mkdir()
    _save(folder / PLAIN)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / name).rename(tmp_path / "outside")
    (folder / name).symlink_to("../outside")

    def read(root: Path) -> Component:
        return component_folder.read(
            "vae", "AutoencoderKL", "diffusers", folder, allow_pickle=False, root=root
        )

    assert read(tmp_path).tensors
    with pytest.raises(
        InputError,
        match=rf"{name} is a link to .*outside, outside of .*vae; put the file itself there",
    ):
        read(folder)
    (tmp_path / "outside").unlink()
    with pytest.raises(InputError, match=rf"{name} is a link to nothing"):
        read(tmp_path)


def _pieces(
    folder: Path, tensors: dict[str, torch.Tensor], model_class: str, name: str = "some"
) -> dict[str, ModelTensor]:
    save_file(tensors, folder / f"{name}.safetensors")
    return component_folder.canonical(model_class, SafetensorsFile(folder / f"{name}.safetensors"))


def _old_names(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """An autoencoder's attention as diffusers named and shaped it before 0.14."""
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    renamed = {}
    for name, tensor in tensors.items():
        block, dot, projection = name.partition(".attentions.0.")
        for new, before in old.items():
            if dot and projection.startswith(f"{new}."):
                projection = before + projection.removeprefix(new)
        renamed[block + dot + projection] = (
            tensor[..., None, None].contiguous() if dot and tensor.ndim == 2 else tensor
        )
    return renamed


def test_an_older_autoencoder_is_the_one_of_today(
    tmp_path: Path, pipeline_folder_of: FolderOf
) -> None:
    folder = pipeline_folder_of("sd1") / "vae"
    today = load_file(folder / PLAIN)
    old = _old_names(today)
    assert len(set(old) - set(today)) == 2 * 4 * 2
    expected, found = (
        _pieces(tmp_path, today, "AutoencoderKL", "today"),
        _pieces(tmp_path, old, "AutoencoderKL", "old"),
    )
    assert {name: piece.digest() for name, piece in found.items()} == {
        name: piece.digest() for name, piece in expected.items()
    }
    for name, tensor in today.items():
        assert torch.equal(found[name].tensor(), tensor)


def test_older_text_encoders_are_those_of_today(tmp_path: Path) -> None:
    tensors = {
        "text_model.embeddings.position_ids": torch.arange(4)[None],
        "text_model.final_layer_norm.bias": torch.ones(2),
    }
    for model_class in ("CLIPTextModel", "CLIPTextModelWithProjection"):
        pieces = _pieces(tmp_path, tensors | {"text_projection.weight": torch.eye(2)}, model_class)
        assert set(pieces) == {"final_layer_norm.bias", "text_projection.weight"}
    shared = torch.ones(3, 2)
    for tensors in ({"shared.weight": shared}, {"encoder.embed_tokens.weight": shared}):
        assert set(_pieces(tmp_path, tensors, "T5EncoderModel")) == {"shared.weight"}
    both = {"shared.weight": shared, "encoder.embed_tokens.weight": shared.clone()}
    assert set(_pieces(tmp_path, both, "T5EncoderModel")) == {"shared.weight"}


@pytest.mark.parametrize(
    ("tensors", "model_class"),
    [
        ({"text_model.a": torch.zeros(1), "a": torch.zeros(1)}, "CLIPTextModel"),
        (
            {"shared.weight": torch.zeros(1), "encoder.embed_tokens.weight": torch.ones(1)},
            "T5EncoderModel",
        ),
        (
            {
                f"encoder.mid_block.attentions.0.{name}.weight": torch.zeros(1, 1)
                for name in ("query", "to_q")
            },
            "AutoencoderKL",
        ),
    ],
)
def test_two_tensors_under_one_name_are_refused(
    tmp_path: Path, tensors: dict[str, Any], model_class: str
) -> None:
    with pytest.raises(
        InputError, match=r"some\.safetensors holds .* and .*, which are one tensor of the model"
    ):
        _pieces(tmp_path, tensors, model_class)


def test_other_models_keep_their_names(tmp_path: Path) -> None:
    tensors = {
        "text_model.a": torch.zeros(1),
        "mid_block.attentions.0.query.weight": torch.zeros(1, 1, 1, 1),
    }
    assert {
        name: piece.shape
        for name, piece in _pieces(tmp_path, tensors, "UNet2DConditionModel").items()
    } == {
        "text_model.a": (1,),
        "mid_block.attentions.0.query.weight": (1, 1, 1, 1),
    }


def test_a_config_of_both_towers_is_read_for_its_text(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        '{"model_type": "clip", "text_config": {"hidden_size": 8}}', encoding="utf-8"
    )
    assert component_folder.read_config("CLIPTextModel", tmp_path, root=tmp_path) == {
        "hidden_size": 8
    }


def test_a_folder_without_a_config_is_refused(tmp_path: Path) -> None:
    _save(tmp_path / PLAIN)
    with pytest.raises(InputError, match=r"has no config\.json"):
        component_folder.read(
            "vae", "AutoencoderKL", "diffusers", tmp_path, allow_pickle=False, root=tmp_path
        )


def _sharded(folder: Path, shards: int = 2) -> Path:
    """A component with an index and that many shards."""
    folder.mkdir()
    (folder / "config.json").write_text("{}", encoding="utf-8")
    names = [f"some-{number}.safetensors" for number in range(shards)]
    for name in names:
        save_file({name: torch.zeros(1)}, folder / name)
    (folder / INDEX).write_text(
        json.dumps({"weight_map": {name: name for name in names}}), encoding="utf-8"
    )
    return folder


def _planned(folder: Path, *, weightless: bool = True) -> Component:
    return component_folder.read(
        "transformer",
        "FluxTransformer2DModel",
        "diffusers",
        folder,
        allow_pickle=False,
        root=folder,
        weightless=weightless,
    )


@pytest.mark.parametrize("left", [0, 1])
@pytest.mark.parametrize("how", ["missing", "a link to nothing"])
def test_a_plan_needs_no_shards(tmp_path: Path, left: int, how: str) -> None:
    folder = _sharded(tmp_path / "transformer")
    assert len(_planned(folder).tensors) == 2
    for path in sorted(folder.glob("some-*"))[left:]:
        path.unlink()
        if how == "a link to nothing":
            path.symlink_to("/gone/object")
    found = _planned(folder)
    assert not found.tensors
    assert found.source == folder
    with pytest.raises(InputError, match=r"some-\d\.safetensors"):
        _planned(folder, weightless=False)


def test_a_plan_needs_no_weights_behind_links(tmp_path: Path) -> None:
    """Git annexes and pruned caches keep the name of what they do not hold."""
    folder = tmp_path / "vae"
    folder.mkdir()
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / PLAIN).symlink_to("/gone/object")
    assert not _planned(folder).tensors
    with pytest.raises(InputError, match=rf"{PLAIN} is a link to nothing"):
        _planned(folder, weightless=False)


def test_a_plan_still_refuses_an_index_that_is_damaged(tmp_path: Path) -> None:
    folder = _sharded(tmp_path / "transformer")
    (folder / INDEX).write_text('{"weight_map": {"a": "../outside"}}', encoding="utf-8")
    with pytest.raises(InputError, match=r"names the file '\.\./outside'"):
        _planned(folder)
