"""Single files that are refused: the message says what the file is, or which files are known."""

import json
import shutil
from pathlib import Path

import pytest

from spqr_tests import quotes
from tests.checkpoint.formats.single_file.single_files import Published, Shapes, refusal
from tests.checkpoint.tiny_pipelines import FolderOf


def denoiser(shapes: Shapes, prefix: str = "model.diffusion_model.") -> Shapes:
    """The shapes of the denoiser alone, under another prefix."""
    start = "model.diffusion_model."
    return {
        prefix + name.removeprefix(start): shape
        for name, shape in shapes.items()
        if name.startswith(start)
    }


@pytest.mark.parametrize(
    ("name", "prefix", "absent"),
    [
        ("sd1", "", "no vae, no text_encoder"),
        ("sd1", "model.diffusion_model.", "no vae, no text_encoder"),
        ("sd2-v", "", "no vae, no text_encoder"),
        ("sdxl", "", "no vae, no text_encoder, no text_encoder_2"),
        ("sd3-medium", "model.diffusion_model.", "no vae, no text_encoder, no text_encoder_2"),
        ("sd3.5-large", "", "no vae, no text_encoder, no text_encoder_2"),
        ("flux-dev", "", "no vae, no text_encoder, no text_encoder_2"),
        ("flux-schnell", "model.diffusion_model.", "no vae, no text_encoder, no text_encoder_2"),
    ],
)
def test_a_denoiser_alone_is_an_overlay(
    name: str, prefix: str, absent: str, published: Published, tmp_path: Path
) -> None:
    text = refusal(tmp_path / "model.safetensors", denoiser(published[name], prefix))
    assert f"holds {absent}, so it is a part" in text
    assert "as --model, and this file as --spqr-overlay" in text


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight": [4, 320]},
            "it is an adapter",
        ),
        ({"unet.down_blocks.0.attentions.0.proj_in.lora_A.weight": [4, 320]}, "it is an adapter"),
        ({"lora_unet_mid_block_attentions_0_proj_in.hada_w1_a": [4, 320]}, "it is an adapter"),
        ({"control_model.input_blocks.0.0.weight": [320, 4, 3, 3]}, "it is a ControlNet"),
        ({"controlnet_cond_embedding.conv_in.weight": [16, 3, 3, 3]}, "it is a ControlNet"),
        ({"ip_adapter.1.to_k_ip.weight": [320, 768]}, "it is an IP-Adapter"),
        ({"emb_params": [4, 768]}, "it is a textual inversion"),
        ({"noise_augmentor.data_mean": [1, 1024]}, "it is an unCLIP model"),
        (
            {"model.diffusion_model.clip_txt_mapper.weight": [8, 8]},
            "it is a stage of Stable Cascade",
        ),
        (
            {"model.diffusion_model.input_blocks.1.1.time_stack.0.norm1.weight": [8]},
            "it is a video model",
        ),
        ({"model.diffusion_model.distilled_guidance_layer.in_proj.weight": [8, 8]}, "it is Chroma"),
        (
            {"conditioner.embedders.0.model.ln_final.weight": [1280]},
            "it is the refiner of Stable Diffusion XL",
        ),
        ({"edm_vpred.sigma_max": []}, "it is a model with EDM's noise schedule"),
        ({"scaled_fp8": [2]}, "its weights are scaled 8-bit numbers"),
        (
            {"model.diffusion_model.img_in.weight.absmax": [8]},
            "its weights are numbers packed by bitsandbytes",
        ),
        (
            {"model.diffusion_model.input_blocks.0.0.weight": [320, 9, 3, 3]},
            "it is an inpainting model",
        ),
        (
            {"model.diffusion_model.input_blocks.0.0.weight": [320, 8, 3, 3]},
            "it is a model that edits pictures",
        ),
        (
            {"model.diffusion_model.input_blocks.0.0.weight": [320, 5, 3, 3]},
            "it is a model that starts from a depth map",
        ),
        ({"model.diffusion_model.input_blocks.0.0.weight": [256, 7, 3, 3]}, "it is an upscaler"),
        ({"img_in.weight": [3072, 384]}, "it is FLUX.1 Fill"),
        ({"img_in.weight": [3072, 128]}, "it is FLUX.1 with a control picture"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_not_a_text_to_image_checkpoint_is_named(
    changed: Shapes, words: str, published: Published, tmp_path: Path
) -> None:
    name = next(iter(changed))
    text = refusal(tmp_path / "model.safetensors", published["sd1"] | dict(changed))
    assert words in text
    assert quotes.named(name) in text
    assert ("--spqr-overlay" in text) == ("adapter" in words or "Chroma" in words)


def test_what_is_unknown_is_told_what_is_known(tmp_path: Path) -> None:
    for shapes in (
        {},
        {"down_blocks.0.resnets.0.conv1.weight": [320, 320, 3, 3]},
        {"input_blocks.0.0.weight": [4]},
    ):
        text = refusal(tmp_path / "model.safetensors", shapes)
        for known in (
            "sd1, sd2-v, sd2-base",
            "sdxl",
            "sd3-medium, sd3.5-medium, sd3.5-large",
            "flux-dev, flux-schnell",
        ):
            assert known in text
        assert "--spqr-overlay" in text
        assert quotes.named(next(iter(shapes), None)) in text


def test_every_tensor_is_accounted_for(published: Published, tmp_path: Path) -> None:
    shapes = published["sd1"]
    extra = {
        "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn3.to_q.weight": [320, 320],
        "other": [2],
    }
    text = refusal(tmp_path / "extra.safetensors", shapes | extra)
    assert f"2 of its {len(shapes) + 2} tensors have no place" in text
    assert f"{next(iter(extra))} [320, 320] first" in text
    lacking = {
        key: shape
        for key, shape in shapes.items()
        if not key.endswith("middle_block.0.in_layers.2.bias")
    }
    text = refusal(tmp_path / "lacking.safetensors", lacking)
    assert "it lacks 1 tensors of the unet, mid_block.resnets.0.conv1.bias first" in text
    text = refusal(tmp_path / "twice.safetensors", shapes | {"out.2.bias": [4]})
    assert "model.diffusion_model.out.2.bias and out.2.bias are one tensor of the unet" in text
    text = refusal(tmp_path / "sdxl.safetensors", published["sdxl"], "sd1")
    assert "have no place" in text or "holds no text_encoder" in text


def test_an_identity_matrix_is_put_nowhere_else(published: Published, tmp_path: Path) -> None:
    shapes = {key: shape for key, shape in published["sd3-medium"].items() if "t5xxl" not in key}
    del shapes["text_encoders.clip_g.transformer.text_projection.weight"]
    text = refusal(tmp_path / "model.safetensors", shapes)
    assert "it lacks 1 tensors of the text_encoder_2, text_projection.weight first" in text


def test_a_config_is_a_preset_or_a_folder(
    published: Published, pipeline_folder_of: FolderOf, tmp_path: Path
) -> None:
    text = refusal(tmp_path / "a.safetensors", published["sd1"], "sd9")
    assert text.startswith("--spqr-config sd9: not a preset (")
    assert "sd1, sd2-v, sd2-base" in text
    text = refusal(tmp_path / "b.safetensors", published["sd1"], str(tmp_path))
    assert text.startswith(f"--spqr-config {tmp_path}: ")
    assert "model_index.json" in text
    configs = shutil.copytree(pipeline_folder_of("sd1"), tmp_path / "configs")
    path = configs / "unet" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"layers_per_block": 10**12}))
    text = refusal(tmp_path / "c.safetensors", published["sd1"], str(configs))
    assert "config of unet" in text
