"""Overlays that are refused, each with the reason."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from spqr_tests.checkpoint.formats import overlay
from tests.checkpoint.formats.originals import original
from tests.checkpoint.formats.overlay.overlays import changed, low_rank, refusal, save
from tests.checkpoint.tiny_pipelines import FolderOf, PartsOf, Tensors, state
from tests.tiny import backbones


def test_another_models_weights(parts_of: PartsOf, tmp_path: Path) -> None:
    said = refusal(
        parts_of("sd1"), save(tmp_path / "sdxl.safetensors", state(changed("sdxl", "unet").unet))
    )
    assert "sdxl.safetensors does not fit the base (Stable Diffusion" in said
    assert "in diffusers' names" in said
    wide = {
        name: torch.zeros(t.shape[0], 24) if "attn2.to_k" in name else t + 1
        for name, t in state(backbones.make("sd1").unet).items()
    }
    misfits = sum("attn2.to_k" in name for name in wide)
    said = refusal(parts_of("sd1"), save(tmp_path / "wide.safetensors", wide))
    assert f"{len(wide) - misfits} of its {len(wide)} tensors have a place" in said
    assert "attn2.to_k.weight has the shape [8, 24], and the unet's [8, 16]" in said


def test_a_leftover_is_refused(parts_of: PartsOf, tmp_path: Path) -> None:
    tensors = state(changed("sd1", "unet").unet) | {"extra.weight": torch.ones(2)}
    said = refusal(parts_of("sd1"), save(tmp_path / "extra.safetensors", tensors))
    assert (
        f"in diffusers' names, {len(tensors) - 1} of its {len(tensors)} tensors have a place;"
        " extra.weight is not the base's" in said
    )
    stored = original(changed("sd1", "unet"), "sd1", denoiser_only=True) | {
        "model.diffusion_model.extra.weight": torch.ones(2)
    }
    said = refusal(parts_of("sd1"), save(tmp_path / "extra.safetensors", stored))
    assert (
        f"in the names of a {parts_of('sd1').backbone.original.name}, {len(stored) - 1} of its"
        f" {len(stored)}" in said
    )
    assert "model.diffusion_model.extra.weight" in said


def test_what_matches_nothing(parts_of: PartsOf, tmp_path: Path) -> None:
    said = refusal(
        parts_of("sd1"), save(tmp_path / "other.safetensors", {"blocks.0.weight": torch.ones(3, 3)})
    )
    for words in (
        "fits nothing in the base",
        "unet, vae, text_encoder",
        "none of its 1 tensors",
        "blocks.0.weight",
        "LoRAs of kohya",
    ):
        assert words in said


def test_what_changes_nothing(parts_of: PartsOf, tmp_path: Path) -> None:
    pipeline = backbones.make("sd1")
    for tensors in (
        state(pipeline.unet),
        {"conv_in.weight": pipeline.unet.conv_in.weight},
        original(pipeline, "sd1", denoiser_only=True),
    ):
        said = refusal(parts_of("sd1"), save(tmp_path / "same.safetensors", tensors))
        assert (
            "changes nothing: all of its tensors equal the base's, so only the base would be"
            " measured" in said
        )
    for dtype in (torch.float16, torch.bfloat16):
        halves = {name: tensor.to(dtype) for name, tensor in state(pipeline.unet).items()}
        assert "changes nothing" in refusal(
            parts_of("sd1"), save(tmp_path / "half.safetensors", halves)
        )
        halves["conv_in.weight"] = halves["conv_in.weight"] * 1.1
        overlay.apply(
            parts_of("sd1"), save(tmp_path / "half.safetensors", halves), allow_pickle=False
        )
    pipeline.text_encoder.save_pretrained(tmp_path / "te")
    assert "changes nothing" in refusal(parts_of("sd1"), tmp_path / "te")


def test_one_tensor_under_two_names(parts_of: PartsOf, tmp_path: Path) -> None:
    weight = changed("sd1", "unet").unet.conv_in.weight
    said = refusal(
        parts_of("sd1"),
        save(
            tmp_path / "two.safetensors",
            {"conv_in.weight": weight, "unet.conv_in.weight": weight + 1},
        ),
    )
    assert "conv_in.weight and unet.conv_in.weight are one tensor of the unet, but differ" in said


def test_quantised_weights(parts_of: PartsOf, tmp_path: Path) -> None:
    tensors = {"conv_in.weight": torch.ones(8, 4, 3, 3, dtype=torch.int8)}
    assert "is stored as I8, and the unet's as F32" in refusal(
        parts_of("sd1"), save(tmp_path / "int8.safetensors", tensors)
    )


@pytest.mark.parametrize(
    ("tensors", "kind"),
    [
        ({"control_model.input_blocks.0.0.weight": torch.ones(8, 4, 3, 3)}, "a ControlNet"),
        (
            {
                "controlnet_cond_embedding.conv_in.weight": torch.ones(8, 4, 3, 3),
                "conv_in.weight": torch.ones(8, 4, 3, 3),
            },
            "a ControlNet",
        ),
        (
            {
                "ip_adapter.1.to_k_ip.weight": torch.ones(8, 16),
                "image_proj.norm.weight": torch.ones(16),
            },
            "an IP-Adapter",
        ),
        ({"emb_params": torch.ones(2, 17)}, "an embedding of textual inversion"),
        ({"string_to_param.*": torch.ones(2, 17)}, "an embedding of textual inversion"),
        ({"<cat-toy>": torch.ones(17)}, "an embedding of textual inversion"),
        (
            {"down.attn2.processor.to_k_custom_diffusion.weight": torch.ones(8, 16)},
            "a set of Custom Diffusion's",
        ),
    ],
)  # fmt: skip
def test_what_is_not_a_change_of_weights(
    parts_of: PartsOf, tmp_path: Path, tensors: Tensors, kind: str
) -> None:
    said = refusal(parts_of("sd1"), save(tmp_path / "other.safetensors", tensors))
    assert f"other.safetensors is {kind}" in said
    assert "does not change the base's weights" in said


def test_folders_that_are_refused(
    parts_of: PartsOf, tmp_path: Path, pipeline_folder_of: FolderOf
) -> None:
    assert "there is no such file or folder" in refusal(parts_of("sd1"), tmp_path / "nothing")
    assert "is a whole pipeline; pass it as --model" in refusal(
        parts_of("sd1"), pipeline_folder_of("sd1")
    )
    (tmp_path / "empty").mkdir()
    assert "expected a folder with config.json" in refusal(parts_of("sd1"), tmp_path / "empty")
    (tmp_path / "empty" / "adapter_config.json").write_text("{}")
    assert "holds no adapter_model.safetensors" in refusal(parts_of("sd1"), tmp_path / "empty")
    save(
        tmp_path / "empty" / "adapter_model.safetensors", {"conv_in.weight": torch.ones(8, 4, 3, 3)}
    )
    assert "holds no LoRA" in refusal(parts_of("sd1"), tmp_path / "empty")
    changed("flux", "text_encoder_2").text_encoder_2.save_pretrained(tmp_path / "t5")
    assert (
        "names the class 'T5EncoderModel', and the base consists of AutoencoderKL, CLIPTextModel,"
        " UNet" in refusal(parts_of("sd1"), tmp_path / "t5")
    )


def test_component_folders_must_be_whole(parts_of: PartsOf, tmp_path: Path) -> None:
    folder = tmp_path / "unet"
    changed("sd1", "unet").unet.save_pretrained(folder)
    whole = state(changed("sd1", "unet").unet)
    weights = folder / "diffusion_pytorch_model.safetensors"
    save(weights, {name: tensor for name, tensor in whole.items() if name != "conv_in.bias"})
    assert "unlike the unet it lacks 1 tensors, conv_in.bias first" in refusal(
        parts_of("sd1"), folder
    )
    save(weights, whole | {"extra": torch.ones(1)})
    assert "unlike the unet it also has 1 tensors, extra first" in refusal(parts_of("sd1"), folder)
    save(weights, whole | {"conv_in.bias": torch.ones(9)})
    assert "conv_in.bias has the shape [9], and the unet's [8]" in refusal(parts_of("sd1"), folder)


def test_links_out_of_a_folder_are_refused(parts_of: PartsOf, tmp_path: Path) -> None:
    outside = save(tmp_path / "outside.safetensors", low_rank())
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "pytorch_lora_weights.safetensors").symlink_to(outside)
    assert "is a link to" in refusal(parts_of("sd1"), folder)
    shutil.copy(outside, folder / "adapter_model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    (folder / "adapter_config.json").symlink_to(tmp_path / "config.json")
    assert "is a link to" in refusal(parts_of("sd1"), folder)


def test_pickles_need_permission(parts_of: PartsOf, tmp_path: Path) -> None:
    path = save(tmp_path / "esd.pt", state(changed("sd1", "unet").unet))
    assert "--spqr-allow-pickle" in refusal(parts_of("sd1"), path, allow_pickle=False)


def test_marks_of_another_scheduler(parts_of: PartsOf, tmp_path: Path) -> None:
    """A base that predicts noise would generate noise with weights for v prediction."""
    tensors = original(changed("sdxl", "unet"), "sdxl")
    backbone = parts_of("sdxl").backbone
    assert backbone.original is not None
    settings = {
        key: value for mark in backbone.original.marks.values() for key, value in mark.items()
    }
    marks = dict.fromkeys(backbone.original.marks, torch.zeros(0))
    assert marks
    path = save(tmp_path / "vpred.safetensors", tensors | marks)
    said = refusal(parts_of("sdxl"), path)
    assert (
        "means a scheduler with prediction_type = 'v_prediction', and the base's has 'epsilon'"
        in said
    )
    parts = parts_of("sdxl")
    scheduler, config = parts.scheduler
    overlay.apply(
        replace(parts, scheduler=(scheduler, {**config, **settings})), path, allow_pickle=False
    )
