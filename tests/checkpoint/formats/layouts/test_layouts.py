"""Layouts of the models' authors, against tiny pipelines and diffusers' own converters."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers.loaders import single_file_utils as diffusers_converters
from safetensors.torch import save_file

from spqr_tests.checkpoint.backbones import BACKBONES
from spqr_tests.checkpoint.formats import pipeline_folder
from spqr_tests.checkpoint.formats.layouts import (
    Layout,
    flux,
    stable_diffusion_3,
)
from spqr_tests.checkpoint.formats.safetensors_file import SafetensorsFile
from spqr_tests.checkpoint.formats.tensor import ModelTensor
from tests.checkpoint.formats import originals
from tests.checkpoint.formats.layouts.placements import ORIGINALS, config, models
from tests.checkpoint.tiny_pipelines import FolderOf, Tensors, state
from tests.tiny import backbones


@pytest.fixture(scope="module", params=backbones.NAMES)
def made(request: pytest.FixtureRequest) -> tuple[str, Any, Tensors]:
    """A backbone's name, its tiny pipeline, and the pipeline's tensors in its authors' layout."""
    pipeline = backbones.make(request.param)
    return request.param, pipeline, originals.original(pipeline, request.param)


def layout_of(name: str, pipeline: Any) -> Layout:
    return Layout(
        ORIGINALS[name], {component: config(model) for component, model in models(pipeline)}
    )


def placed(
    layout: Layout, path: Path, tensors: Mapping[str, torch.Tensor]
) -> dict[str, dict[str, ModelTensor]]:
    """Where a file's tensors belong, by component; each has a place or is needed nowhere."""
    save_file(dict(tensors), path)
    file = SafetensorsFile(path)
    found: dict[str, dict[str, ModelTensor]] = {}
    for stored in file.tensors.values():
        answer = layout.places(stored.name, stored.shape)
        assert answer is not None, stored
        for component, place in answer:
            assert place.name not in found.setdefault(component, {})
            found[component][place.name] = ModelTensor(
                file, stored, place.shape, place.rows, place.transposed
            )
    return found


def assert_same(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].shape == tensor.shape, name
        assert torch.equal(found[name], tensor), name


def test_every_tensor_of_an_original_file_is_found_again(
    made: tuple[str, Any, Tensors], tmp_path: Path
) -> None:
    name, pipeline, tensors = made
    layout = layout_of(name, pipeline)
    found = placed(layout, tmp_path / "model.safetensors", tensors)
    for component, model in models(pipeline):
        assert_same({key: piece.tensor() for key, piece in found[component].items()}, state(model))
        assert layout.names(component) == state(model).keys()


def test_pieces_are_digested_as_the_model_sees_them(
    made: tuple[str, Any, Tensors], pipeline_folder_of: FolderOf, tmp_path: Path
) -> None:
    name, pipeline, tensors = made
    parts = pipeline_folder.read(name, pipeline_folder_of(name), BACKBONES, allow_pickle=False)
    for component, pieces in placed(
        layout_of(name, pipeline), tmp_path / "model.safetensors", tensors
    ).items():
        ours = {key: piece.digest() for key, piece in parts.models[component].tensors.items()}
        assert {key: piece.digest() for key, piece in pieces.items()} == ours


def test_a_denoiser_may_stand_alone(made: tuple[str, Any, Tensors], tmp_path: Path) -> None:
    name, pipeline, _ = made
    bare = originals.original(pipeline, name, denoiser_only=True, bare=True)
    found = placed(layout_of(name, pipeline), tmp_path / "unet.safetensors", bare)
    denoiser = "transformer" if name in {"sd3", "flux"} else "unet"
    assert_same(
        {key: piece.tensor() for key, piece in found.pop(denoiser).items()},
        state(getattr(pipeline, denoiser)),
    )
    assert found == {}


def test_an_autoencoder_may_stand_alone(tmp_path: Path) -> None:
    pipeline = backbones.make("flux")
    found = placed(
        layout_of("flux", pipeline),
        tmp_path / "ae.safetensors",
        _whole(originals.autoencoder(pipeline.vae)),
    )
    assert_same({key: piece.tensor() for key, piece in found["vae"].items()}, state(pipeline.vae))


def test_what_no_model_needs_is_told_from_what_is_unknown(made: tuple[str, Any, Tensors]) -> None:
    name, pipeline, tensors = made
    layout = layout_of(name, pipeline)
    unneeded = {
        key for key, tensor in tensors.items() if layout.places(key, tuple(tensor.shape)) == ()
    }
    needed = originals.original(pipeline, name, extras=False).keys()
    assert unneeded == tensors.keys() - needed | {
        key for key in needed if key.endswith("embed_tokens.weight")
    }
    for strange in (
        "model.diffusion_model.extra.weight",
        "model.diffusion_model.input_blocks.99.0.weight",
        "unet.conv_in.weight",
    ):
        assert layout.places(strange, (4, 4)) is None


def test_shapes_that_cannot_be_divided_have_no_place() -> None:
    layout = layout_of("flux", backbones.make("flux"))
    name = "double_blocks.0.img_attn.qkv.weight"
    assert layout.places(name, (3 * 32, 32)) is not None
    assert layout.places(name, (3 * 32 + 3, 32)) is None
    assert layout.places(name, ()) is None


def _whole(tensors: Mapping[str, torch.Tensor]) -> Tensors:
    return {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}


def pieces_of(layout: Layout, tensors: Mapping[str, torch.Tensor], component: str) -> Tensors:
    """One component's tensors, taken from an original file's tensors."""
    found = {}
    for stored, tensor in tensors.items():
        for owner, place in layout.places(stored, tuple(tensor.shape)) or ():
            if owner == component:
                rows = (
                    tensor
                    if place.rows is None
                    else torch.cat([tensor[begin:end] for begin, end in place.rows])
                )
                found[place.name] = (rows.T if place.transposed else rows).reshape(place.shape)
    return found


@pytest.mark.parametrize("name", ["sd1", "sd2", "sdxl"])
def test_unets_are_what_diffusers_makes_of_them(name: str) -> None:
    pipeline = backbones.make(name)
    tensors = originals.original(pipeline, name)
    theirs = diffusers_converters.convert_ldm_unet_checkpoint(tensors, dict(pipeline.unet.config))
    assert_same(pieces_of(layout_of(name, pipeline), tensors, "unet"), theirs)


@pytest.mark.parametrize("name", ["sd1", "sdxl", "sd3", "flux"])
def test_autoencoders_are_what_diffusers_makes_of_them(name: str) -> None:
    pipeline = backbones.make(name)
    tensors = originals.original(pipeline, name)
    theirs = diffusers_converters.convert_ldm_vae_checkpoint(tensors, dict(pipeline.vae.config))
    assert_same(pieces_of(layout_of(name, pipeline), tensors, "vae"), theirs)


@pytest.mark.parametrize(
    ("name", "component", "prefix"),
    [
        ("sd2", "text_encoder", "cond_stage_model.model."),
        ("sdxl", "text_encoder_2", "conditioner.embedders.1.model."),
    ],
)
def test_open_clip_is_what_diffusers_makes_of_it(name: str, component: str, prefix: str) -> None:
    pipeline = backbones.make(name)
    # diffusers reads the projection's height as its width.
    tensors = {
        key: tensor
        for key, tensor in originals.original(pipeline, name).items()
        if name != "sd2" or "projection" not in key
    }
    model = getattr(pipeline, component)
    theirs = diffusers_converters.convert_open_clip_checkpoint(model, tensors, prefix=prefix)
    theirs = {key.removeprefix("text_model."): tensor for key, tensor in theirs.items()}
    layers = model.config.num_hidden_layers
    theirs = {
        key: tensor
        for key, tensor in theirs.items()
        if not key.startswith(f"encoder.layers.{layers}.")
    }
    assert_same(pieces_of(layout_of(name, pipeline), tensors, component), theirs)


@pytest.mark.parametrize(
    "changed",
    [{}, {"qk_norm": "rms_norm"}, {"qk_norm": "rms_norm", "dual_attention_layers": (0, 1)}],
)
def test_mmdits_are_what_diffusers_makes_of_them(changed: dict[str, Any]) -> None:
    from diffusers import SD3Transformer2DModel

    torch.manual_seed(0)
    transformer = SD3Transformer2DModel.from_config(
        dict(backbones.make("sd3").transformer.config) | {"num_layers": 3} | changed
    )
    with torch.no_grad():
        for parameter in transformer.parameters():
            parameter.normal_()
    tensors = originals.original(
        SimpleNamespace(transformer=transformer), "sd3", denoiser_only=True
    )
    layout = Layout(stable_diffusion_3.ORIGINAL, {"transformer": dict(transformer.config)})
    found = pieces_of(layout, tensors, "transformer")
    assert_same(found, state(transformer))
    assert_same(
        found, diffusers_converters.convert_sd3_transformer_checkpoint_to_diffusers(dict(tensors))
    )


def test_flux_is_what_diffusers_makes_of_it() -> None:
    # diffusers splits at the published width, so the matrices keep their rows; columns are few.
    pipeline = originals.weightless("flux-dev")
    shapes = {
        name: tuple(tensor.shape)
        for name, tensor in originals.original(
            pipeline, "flux", denoiser_only=True, bare=True
        ).items()
    }
    kept = {
        name for name in shapes if not name.split(".")[1].isdigit() or name.split(".")[1] == "0"
    }
    generator = torch.Generator().manual_seed(0)
    tensors = {
        name: torch.randn((*shapes[name][:1], *(2 for _ in shapes[name][1:])), generator=generator)
        for name in kept
    }
    layout = Layout(
        flux.ORIGINAL,
        {"transformer": config(pipeline.transformer) | {"num_layers": 1, "num_single_layers": 1}},
    )
    found = pieces_of(layout, tensors, "transformer")
    assert layout.names("transformer") == found.keys()
    assert_same(
        found, diffusers_converters.convert_flux_transformer_checkpoint_to_diffusers(dict(tensors))
    )
