import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers.loaders import single_file_utils as diffusers_converters
from safetensors.torch import save_file

from spqr_tests.checkpoint.backbones import BACKBONES
from spqr_tests.checkpoint.formats import pipeline_folder
from spqr_tests.checkpoint.formats.identity_matrix import IdentityMatrix
from spqr_tests.checkpoint.formats.layouts import (
    Layout,
    flux,
    places,
    stable_diffusion,
    stable_diffusion_3,
)
from spqr_tests.checkpoint.formats.layouts.table import Preset
from spqr_tests.checkpoint.formats.safetensors_file import SafetensorsFile
from spqr_tests.checkpoint.formats.tensor import ModelTensor
from spqr_tests.errors import InputError
from tests.checkpoint.formats import originals
from tests.tiny import backbones

Tensors = dict[str, torch.Tensor]
ORIGINALS = originals.LAYOUTS
PRESETS = [pytest.param(name, preset, id=preset.name) for name, preset in originals.presets()]
# As published, without buffers.
PARAMETERS = {
    ("sd1", "unet"): 859_520_964,
    ("sd1", "vae"): 83_653_863,
    ("sd1", "text_encoder"): 123_060_480,
    ("sd2-v", "unet"): 865_910_724,
    ("sd2-v", "text_encoder"): 340_387_840,
    ("sd2-base", "unet"): 865_910_724,
    ("sdxl", "unet"): 2_567_463_684,
    ("sdxl", "vae"): 83_653_863,
    ("sdxl", "text_encoder"): 123_060_480,
    ("sdxl", "text_encoder_2"): 694_659_840,
    ("sd3-medium", "transformer"): 2_028_328_000,
    ("sd3-medium", "vae"): 83_819_683,
    ("sd3.5-medium", "transformer"): 2_243_171_520,
    ("sd3.5-large", "transformer"): 8_056_627_520,
    ("sd3.5-large", "text_encoder_3"): 4_762_310_656,
    ("flux-dev", "transformer"): 11_901_408_320,
    ("flux-dev", "vae"): 83_819_683,
    ("flux-schnell", "transformer"): 11_891_178_560,
}


@pytest.fixture(scope="module", params=backbones.NAMES)
def made(request: pytest.FixtureRequest) -> tuple[str, Any, Tensors]:
    """A backbone's name, its tiny pipeline, and that in its authors' layout."""
    pipeline = backbones.make(request.param)
    return request.param, pipeline, originals.original(pipeline, request.param)


def models(pipeline: Any) -> Iterator[tuple[str, Any]]:
    for name in originals.COMPONENTS:
        if (model := getattr(pipeline, name, None)) is not None:
            yield name, model


def state(model: Any) -> Tensors:
    tensors = {
        name.removeprefix("text_model."): tensor for name, tensor in model.state_dict().items()
    }
    tensors.pop("encoder.embed_tokens.weight", None)
    return tensors


def config(model: Any) -> dict[str, Any]:
    return dict(model.config.to_dict() if hasattr(model.config, "to_dict") else model.config)


def layout_of(name: str, pipeline: Any) -> Layout:
    return Layout(
        ORIGINALS[name], {component: config(model) for component, model in models(pipeline)}
    )


def placed(
    layout: Layout, path: Path, tensors: Mapping[str, torch.Tensor]
) -> dict[str, dict[str, ModelTensor]]:
    """Where the tensors of a file of these tensors belong; each has a place or is needed nowhere."""
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
    made: tuple[str, Any, Tensors], pipeline_folder_of: Callable[[str], Path], tmp_path: Path
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
    """A component of tensors in memory."""
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
    # diffusers takes the projection's height for the width.
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
    # diffusers splits at the published width, so the matrices have that many rows, and few columns.
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


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_published_architectures_are_known_in_full(name: str, preset: Preset) -> None:
    pipeline = originals.weightless(preset.name)
    layout = Layout(
        ORIGINALS[name], {component: settings for component, (_, settings) in preset.models.items()}
    )
    tensors = originals.original(pipeline, name)
    for component, model in models(pipeline):
        count = sum(parameter.numel() for parameter in model.parameters())
        assert PARAMETERS.get((preset.name, component), count) == count
        expected = {key: tuple(tensor.shape) for key, tensor in state(model).items()}
        shapes = {
            place.name: place.shape
            for key, tensor in tensors.items()
            for owner, place in layout.places(key, tuple(tensor.shape)) or ()
            if owner == component
        }
        assert shapes == expected
        assert layout.names(component) == expected.keys()
    for key, shape in preset.signs.items():
        assert (shape is None) == (f"model.diffusion_model.{key}" not in tensors)
        assert shape is None or tensors[f"model.diffusion_model.{key}"].shape == shape


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_every_module_has_an_original_name(name: str, preset: Preset) -> None:
    layout = Layout(
        ORIGINALS[name], {component: settings for component, (_, settings) in preset.models.items()}
    )
    pipeline = originals.weightless(preset.name)
    tensors = originals.original(pipeline, name, denoiser_only=True, bare=True)
    denoiser = "transformer" if hasattr(pipeline, "transformer") else "unet"
    for module, found in getattr(pipeline, denoiser).named_modules():
        if not isinstance(found, torch.nn.Linear | torch.nn.Conv2d):
            continue
        stored = layout.stored_module(denoiser, module)
        assert stored is not None, module
        answer = layout.places(f"{stored}.weight", tuple(tensors[f"{stored}.weight"].shape))
        assert f"{module}.weight" in [place.name for _, place in answer or ()]
    assert layout.stored_module(denoiser, "no.such.module") is None


@pytest.mark.parametrize(
    ("preset", "module", "stored"),
    [
        (
            stable_diffusion.ORIGINAL.presets[0],
            "down_blocks.0.attentions.0.proj_in",
            "input_blocks.1.1.proj_in",
        ),
        (
            stable_diffusion.ORIGINAL.presets[0],
            "up_blocks.3.attentions.2.proj_out",
            "output_blocks.11.1.proj_out",
        ),
        (
            stable_diffusion.ORIGINAL.presets[0],
            "up_blocks.0.upsamplers.0.conv",
            "output_blocks.2.1.conv",
        ),
        (
            stable_diffusion.ORIGINAL_XL.presets[0],
            "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q",
            "input_blocks.4.1.transformer_blocks.0.attn1.to_q",
        ),
        (
            stable_diffusion.ORIGINAL_XL.presets[0],
            "down_blocks.2.attentions.1.transformer_blocks.9.attn2.to_k",
            "input_blocks.8.1.transformer_blocks.9.attn2.to_k",
        ),
        (
            stable_diffusion.ORIGINAL_XL.presets[0],
            "up_blocks.0.upsamplers.0.conv",
            "output_blocks.2.2.conv",
        ),
        (stable_diffusion.ORIGINAL_XL.presets[0], "add_embedding.linear_1", "label_emb.0.0"),
        (
            stable_diffusion_3.ORIGINAL.presets[1],
            "transformer_blocks.12.attn2.to_v",
            "joint_blocks.12.x_block.attn2.qkv",
        ),
        (
            stable_diffusion_3.ORIGINAL.presets[0],
            "transformer_blocks.23.attn.add_k_proj",
            "joint_blocks.23.context_block.attn.qkv",
        ),
        (
            flux.ORIGINAL.presets[0],
            "transformer_blocks.0.attn.to_k",
            "double_blocks.0.img_attn.qkv",
        ),
        (
            flux.ORIGINAL.presets[0],
            "single_transformer_blocks.37.proj_mlp",
            "single_blocks.37.linear1",
        ),
    ],
)
def test_published_names_of_modules(preset: Preset, module: str, stored: str) -> None:
    original = next(one for one in ORIGINALS.values() if preset in one.presets)
    layout = Layout(
        original, {component: settings for component, (_, settings) in preset.models.items()}
    )
    denoiser = "transformer" if "transformer" in preset.models else "unet"
    assert layout.stored_module(denoiser, module) == stored


def test_a_fused_tensor_has_a_place_for_each_of_its_parts() -> None:
    settings = {"transformer": flux.ORIGINAL.presets[0].models["transformer"][1]}
    answer = (
        places(
            flux.ORIGINAL,
            settings,
            "model.diffusion_model.single_blocks.3.linear1.weight",
            (21504, 3072),
        )
        or ()
    )
    assert [
        (component, place.name.split("3.", 1)[1], place.rows, place.shape)
        for component, place in answer
    ] == [
        ("transformer", "attn.to_q.weight", ((0, 3072),), (3072, 3072)),
        ("transformer", "attn.to_k.weight", ((3072, 6144),), (3072, 3072)),
        ("transformer", "attn.to_v.weight", ((6144, 9216),), (3072, 3072)),
        ("transformer", "proj_mlp.weight", ((9216, 21504),), (12288, 3072)),
    ]


@pytest.mark.parametrize(
    ("name", "component", "changed"),
    [
        ("sd1", "unet", {"down_block_types": ["AttnDownBlock2D"] * 4}),
        ("sd1", "unet", {"block_out_channels": [320]}),
        ("sd1", "unet", {"layers_per_block": 10**12}),
        ("sd1", "unet", {"layers_per_block": [1, 2, 2, 2]}),
        ("sd1", "unet", {"transformer_layers_per_block": 10**12}),
        ("sd1", "unet", {"addition_embed_type": "image"}),
        ("sd1", "vae", {"block_out_channels": []}),
        ("sd1", "vae", {"down_block_types": ["AttnDownEncoderBlock2D"] * 4}),
        ("sd1", "text_encoder", {"num_hidden_layers": "twelve"}),
        ("sd1", "text_encoder", {"hidden_size": 7.5}),
        ("sd3", "transformer", {"num_layers": 10**12}),
        ("sd3", "text_encoder_3", {"num_layers": None}),
        ("flux", "transformer", {"num_single_layers": 10**12}),
    ],
    ids=str,
)
def test_configs_of_no_known_architecture_are_refused_at_once(
    name: str, component: str, changed: dict[str, Any]
) -> None:
    original = ORIGINALS[name]
    settings = dict(original.presets[0].models[component][1]) | changed
    before = time.monotonic()
    with pytest.raises(InputError, match=f"config of {component} .* diffusers folder"):
        Layout(original, {component: settings})
    assert time.monotonic() - before < 5


def test_an_identity_matrix_takes_the_place_of_what_files_leave_out(tmp_path: Path) -> None:
    layout = Layout(
        stable_diffusion_3.ORIGINAL,
        {"text_encoder": stable_diffusion.clip(), "text_encoder_2": stable_diffusion.big_clip()},
    )
    assert layout.identities("text_encoder") == {"text_projection.weight": 768}
    assert layout.identities("text_encoder_2") == {}
    piece = IdentityMatrix(tmp_path, "text_projection.weight", 5).piece()
    assert torch.equal(piece.tensor(), torch.eye(5, dtype=torch.float16))
    save_file({"stored": torch.eye(5, dtype=torch.float16)}, tmp_path / "eye.safetensors")
    file = SafetensorsFile(tmp_path / "eye.safetensors")
    assert ModelTensor(file, file.tensors["stored"], (5, 5)).digest() == piece.digest()
