"""Names of tensors in their authors' files, for published architectures at full size."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from spqr_tests.checkpoint.formats.identity_matrix import IdentityMatrix
from spqr_tests.checkpoint.formats.layouts import (
    Layout,
    flux,
    stable_diffusion,
    stable_diffusion_3,
)
from spqr_tests.checkpoint.formats.layouts.table import Preset
from spqr_tests.checkpoint.formats.safetensors_file import SafetensorsFile
from spqr_tests.checkpoint.formats.tensor import ModelTensor
from spqr_tests.errors import InputError
from tests.checkpoint.formats import originals
from tests.checkpoint.formats.layouts.placements import ORIGINALS, models
from tests.checkpoint.tiny_pipelines import state
from tests.seconds import at_once

PRESETS = [pytest.param(name, preset, id=preset.name) for name, preset in originals.presets()]
# Numbers of parameters as published, without buffers.
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
        Layout(flux.ORIGINAL, settings).places(
            "model.diffusion_model.single_blocks.3.linear1.weight", (21504, 3072)
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
    refused = pytest.raises(InputError, match=f"config of {component} .* diffusers folder")
    with at_once(), refused:
        Layout(original, {component: settings})


def test_an_identity_matrix_takes_the_place_of_what_files_leave_out(tmp_path: Path) -> None:
    layout = Layout(
        stable_diffusion_3.ORIGINAL,
        {"text_encoder": stable_diffusion.clip(), "text_encoder_2": stable_diffusion.big_clip()},
    )
    assert layout.identities("text_encoder") == {"text_projection.weight": 768}
    assert layout.identities("text_encoder_2") == {}
    piece = IdentityMatrix(tmp_path, "text_projection.weight", 5).model_tensor()
    assert torch.equal(piece.tensor(), torch.eye(5, dtype=torch.float16))
    save_file({"stored": torch.eye(5, dtype=torch.float16)}, tmp_path / "eye.safetensors")
    file = SafetensorsFile(tmp_path / "eye.safetensors")
    assert ModelTensor(file, file.tensors["stored"], (5, 5)).digest() == piece.digest()
