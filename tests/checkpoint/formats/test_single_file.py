import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from spqr_tests.checkpoint.backbones import BACKBONES
from spqr_tests.checkpoint.fingerprint import fingerprint
from spqr_tests.checkpoint.formats import pipeline_folder, single_file
from spqr_tests.checkpoint.formats.safetensors_file import SafetensorsFile
from spqr_tests.checkpoint.parts import Parts
from spqr_tests.errors import InputError
from tests.checkpoint.formats import originals
from tests.tiny import backbones

Tensors = dict[str, torch.Tensor]
Folders = Callable[[str], Path]
Shapes = Mapping[str, Sequence[int]]
Published = Mapping[str, dict[str, Sequence[int]]]


@pytest.fixture(scope="module")
def original_of() -> Callable[[str], Tensors]:
    """A backbone's tiny pipeline in its authors' layout."""
    made = {name: originals.original(backbones.make(name), name) for name in backbones.NAMES}
    return lambda name: dict(made[name])


@pytest.fixture(scope="module")
def published() -> Published:
    """Names and shapes in a published file of each preset, with all text encoders."""
    found: dict[str, dict[str, Sequence[int]]] = {}
    for name, preset in originals.presets():
        tensors = originals.original(originals.weightless(preset.name), name)
        found[preset.name] = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    return found


def header(path: Path, shapes: Shapes) -> SafetensorsFile:
    """A file of zeros with these tensors, which takes no space on the disk."""
    table, end = {}, 0
    for name, shape in shapes.items():
        begin, end = end, end + 2 * prod(shape)
        table[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(table).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    return SafetensorsFile(path)


def read(path: Path, tensors: Mapping[str, torch.Tensor], config: Path | str | None) -> Parts:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return single_file.read(
        str(path), SafetensorsFile(path), BACKBONES, None if config is None else str(config)
    )


def digests(parts: Parts) -> dict[str, dict[str, str]]:
    return {
        name: {key: piece.digest() for key, piece in model.tensors.items()}
        for name, model in parts.models.items()
    }


def refusal(path: Path, shapes: Shapes, config: str | None = None) -> str:
    with pytest.raises(InputError) as refused:
        single_file.read("model.safetensors", header(path, shapes), BACKBONES, config)
    text = str(refused.value)
    assert text.startswith(("--model model.safetensors: ", "--spqr-config", "The config of"))
    assert text.endswith(".")
    return text


def denoiser(shapes: Shapes, prefix: str = "model.diffusion_model.") -> Shapes:
    """The denoiser's alone."""
    start = "model.diffusion_model."
    return {
        prefix + name.removeprefix(start): shape
        for name, shape in shapes.items()
        if name.startswith(start)
    }


@pytest.mark.parametrize("name", backbones.NAMES)
def test_a_file_is_the_pipeline_it_was_made_of(
    name: str, original_of: Callable[[str], Tensors], pipeline_folder_of: Folders, tmp_path: Path
) -> None:
    folder = pipeline_folder_of(name)
    configs = shutil.copytree(
        folder, tmp_path / "configs", ignore=shutil.ignore_patterns("*.safetensors")
    )
    parts = read(tmp_path / "model.safetensors", original_of(name), configs)
    expected = pipeline_folder.read(name, folder, BACKBONES, allow_pickle=False)
    assert fingerprint(parts) == fingerprint(expected)
    assert digests(parts) == digests(expected)
    assert (parts.backbone, parts.pipeline_class, parts.scheduler) == (
        expected.backbone,
        expected.pipeline_class,
        expected.scheduler,
    )
    assert parts.arguments == expected.arguments
    assert {key: one.content() for key, one in parts.tokenizers.items()} == {
        key: one.content() for key, one in expected.tokenizers.items()
    }
    for key, model in parts.models.items():
        assert (model.name, model.model_class, model.config) == (
            key,
            expected.models[key].model_class,
            expected.models[key].config,
        )
        assert model.source == tmp_path / "model.safetensors"


def test_one_changed_element_changes_one_digest(
    original_of: Callable[[str], Tensors], pipeline_folder_of: Folders, tmp_path: Path
) -> None:
    tensors = original_of("flux")
    before = digests(read(tmp_path / "before.safetensors", tensors, pipeline_folder_of("flux")))
    fused = tensors["model.diffusion_model.single_blocks.0.linear1.weight"].clone()
    fused[32, 0] += 1  # the first row of the keys
    tensors["model.diffusion_model.single_blocks.0.linear1.weight"] = fused
    after = digests(read(tmp_path / "after.safetensors", tensors, pipeline_folder_of("flux")))
    changed = [
        key for name in before for key in before[name] if before[name][key] != after[name][key]
    ]
    assert changed == ["single_transformer_blocks.0.attn.to_k.weight"]


@pytest.mark.parametrize("name", ["sd1", "sdxl"])
def test_published_files_say_what_they_are(name: str, published: Published, tmp_path: Path) -> None:
    parts = single_file.read(
        "m", header(tmp_path / "model.safetensors", published[name]), BACKBONES, None
    )
    assert (
        parts.pipeline_class
        == {"sd1": "StableDiffusionPipeline", "sdxl": "StableDiffusionXLPipeline"}[name]
    )
    assert len(parts.models["unet"].tensors) == {"sd1": 686, "sdxl": 1680}[name]
    assert parts.scheduler[1]["beta_end"] == 0.012
    assert parts.scheduler[1].get("prediction_type", "epsilon") == "epsilon"
    assert parts.arguments == ({"force_zeros_for_empty_prompt": True} if name == "sdxl" else {})
    pads = {key: one.load().pad_token for key, one in parts.tokenizers.items()}
    assert pads == {"tokenizer": "<|endoftext|>"} | ({"tokenizer_2": "!"} if name == "sdxl" else {})


@pytest.mark.parametrize("name", ["sd3-medium", "sd3.5-medium", "sd3.5-large"])
@pytest.mark.parametrize("projection", [True, False])
def test_sd3_files_without_t5_are_whole(
    name: str, projection: bool, published: Published, tmp_path: Path
) -> None:  # noqa: FBT001
    left_out = (
        "text_encoders.t5xxl."
        if projection
        else ("text_encoders.t5xxl.", "text_encoders.clip_l.transformer.text_projection.")
    )
    shapes = {key: shape for key, shape in published[name].items() if not key.startswith(left_out)}
    parts = single_file.read("m", header(tmp_path / "model.safetensors", shapes), BACKBONES, None)
    assert parts.pipeline_class == "StableDiffusion3Pipeline"
    assert parts.models.keys() == {"transformer", "vae", "text_encoder", "text_encoder_2"}
    assert parts.tokenizers.keys() == {"tokenizer", "tokenizer_2"}
    config = parts.models["transformer"].config
    assert (config["num_layers"], config["pos_embed_max_size"]) == {
        "sd3-medium": (24, 192),
        "sd3.5-medium": (24, 384),
        "sd3.5-large": (38, 192),
    }[name]
    matrix = parts.models["text_encoder"].tensors["text_projection.weight"].tensor()
    assert torch.equal(matrix, torch.zeros(768, 768) if projection else torch.eye(768))


@pytest.mark.parametrize(
    ("name", "prediction"), [("sd2-v", "v_prediction"), ("sd2-base", "epsilon")]
)
def test_sd2_files_must_be_told(
    name: str, prediction: str, published: Published, tmp_path: Path
) -> None:
    text = refusal(tmp_path / "model.safetensors", published[name])
    assert "--spqr-config sd2-v or --spqr-config sd2-base" in text
    parts = single_file.read("m", SafetensorsFile(tmp_path / "model.safetensors"), BACKBONES, name)
    assert parts.scheduler[1]["prediction_type"] == prediction
    assert parts.backbone.resolution(
        {key: model.config for key, model in parts.models.items()}
    ) == (768 if name == "sd2-v" else 512)
    assert parts.tokenizers["tokenizer"].load().pad_token == "!"  # noqa: S105  what pads
    assert len(parts.models["text_encoder"].tensors) == 4 + 16 * 23


def test_xl_files_may_be_marked_as_predicting_velocity(
    published: Published, tmp_path: Path
) -> None:
    shapes = published["sdxl"] | {"v_pred": []}
    scheduler = single_file.read(
        "m", header(tmp_path / "v.safetensors", shapes), BACKBONES, None
    ).scheduler[1]
    assert scheduler["prediction_type"] == "v_prediction"
    assert "rescale_betas_zero_snr" not in scheduler
    scheduler = single_file.read(
        "m", header(tmp_path / "z.safetensors", shapes | {"ztsnr": []}), BACKBONES, "sdxl"
    ).scheduler[1]
    assert scheduler["rescale_betas_zero_snr"] is True
    assert "no place, v_pred" in refusal(
        tmp_path / "sd1.safetensors", published["sd1"] | {"v_pred": []}
    )


def test_marks_and_configs_must_agree(
    original_of: Callable[[str], Tensors], pipeline_folder_of: Folders, tmp_path: Path
) -> None:
    tensors = original_of("sdxl") | {"v_pred": torch.tensor([])}
    with pytest.raises(
        InputError, match=r"prediction_type = 'v_prediction', .* says 'epsilon'; they must agree"
    ):
        read(tmp_path / "model.safetensors", tensors, pipeline_folder_of("sdxl"))
    configs = shutil.copytree(pipeline_folder_of("sdxl"), tmp_path / "configs")
    path = configs / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"prediction_type": "v_prediction"}))
    parts = read(tmp_path / "model.safetensors", tensors, configs)
    assert parts.scheduler[1]["prediction_type"] == "v_prediction"


def test_t5_needs_the_folder_that_has_its_tokenizer(published: Published, tmp_path: Path) -> None:
    for name in ("sd3-medium", "flux-dev", "flux-schnell"):
        text = refusal(tmp_path / f"{name}.safetensors", published[name])
        assert "T5EncoderModel" in text
        assert "--model" in text
        assert "--spqr-overlay" in text
        assert "--spqr-config" in text


def test_t5_comes_with_a_folder_of_configs_where_it_is_there(
    original_of: Callable[[str], Tensors], pipeline_folder_of: Folders, tmp_path: Path
) -> None:
    tensors = {name: tensor for name, tensor in original_of("sd3").items() if "t5xxl" not in name}
    parts = read(tmp_path / "model.safetensors", tensors, pipeline_folder_of("sd3"))
    assert "text_encoder_3" not in parts.models
    assert "tokenizer_3" not in parts.tokenizers


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
        ({"edm_vpred.sigma_max": []}, "it is a model on EDM's schedule"),
        ({"scaled_fp8": [2]}, "its weights are scaled 8-bit numbers"),
        (
            {"model.diffusion_model.img_in.weight.absmax": [8]},
            "its weights are what bitsandbytes packed",
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
def test_what_is_no_text_to_image_checkpoint_is_named(
    changed: Shapes, words: str, published: Published, tmp_path: Path
) -> None:
    name = next(iter(changed))
    text = refusal(tmp_path / "model.safetensors", published["sd1"] | dict(changed))
    assert words in text
    assert repr(name) in text
    assert ("--spqr-overlay" in text) == ("adapter" in words)


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
        assert repr(next(iter(shapes), None)) in text


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
    published: Published, pipeline_folder_of: Folders, tmp_path: Path
) -> None:
    text = refusal(tmp_path / "a.safetensors", published["sd1"], "sd9")
    assert text.startswith("--spqr-config sd9: neither a preset (")
    assert "sd1, sd2-v, sd2-base" in text
    text = refusal(tmp_path / "b.safetensors", published["sd1"], str(tmp_path))
    assert text.startswith(f"--spqr-config {tmp_path}: ")
    assert "model_index.json" in text
    configs = shutil.copytree(pipeline_folder_of("sd1"), tmp_path / "configs")
    path = configs / "unet" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"layers_per_block": 10**12}))
    text = refusal(tmp_path / "c.safetensors", published["sd1"], str(configs))
    assert "config of unet" in text


def test_no_torch_and_no_network_for_safetensors(published: Published, tmp_path: Path) -> None:
    header(tmp_path / "model.safetensors", published["sd1"])
    script = """
import socket, sys
from pathlib import Path

def refuse(*_):
    raise AssertionError("network")

socket.socket.connect = refuse
from spqr_tests.checkpoint.backbones import BACKBONES
from spqr_tests.checkpoint.formats import single_file
from spqr_tests.checkpoint.formats.safetensors_file import SafetensorsFile

parts = single_file.read("m", SafetensorsFile(Path(sys.argv[1])), BACKBONES, None)
piece = parts.models["vae"].tensors["encoder.mid_block.attentions.0.to_q.weight"]
print(piece.shape, len(piece.digest()), len(parts.tokenizers["tokenizer"].content()) > 0)
print(sorted({"torch", "diffusers", "transformers", "open_clip"} & sys.modules.keys()))
"""
    path = str(tmp_path / "model.safetensors")
    finished = subprocess.run(
        [sys.executable, "-c", script, path], capture_output=True, text=True, check=False
    )
    assert finished.stdout == "(512, 512) 64 True\n[]\n", finished.stderr


def test_a_file_paints_as_its_pipeline(
    original_of: Callable[[str], Tensors], pipeline_folder_of: Folders, tmp_path: Path
) -> None:
    from spqr_tests.checkpoint import loading

    def picture(parts: Parts) -> Any:
        generator = torch.Generator().manual_seed(0)
        pipeline: Any = loading.load(parts, "cpu", "float32")
        side = backbones.SIDE
        return pipeline(
            "a fish",
            height=side,
            width=side,
            num_inference_steps=2,
            output_type="np",
            generator=generator,
        ).images

    folder = pipeline_folder_of("sdxl")
    file = picture(read(tmp_path / "model.safetensors", original_of("sdxl"), folder))
    folders = picture(pipeline_folder.read("m", folder, BACKBONES, allow_pickle=False))
    assert (file == folders).all()
