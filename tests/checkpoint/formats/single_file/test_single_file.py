"""Single files: the same model as the folder, and which published model a file is."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from spqr_tests.checkpoint.backbones import BACKBONES
from spqr_tests.checkpoint.fingerprint import fingerprint
from spqr_tests.checkpoint.formats import pipeline_folder, single_file
from spqr_tests.checkpoint.formats.safetensors_file import SafetensorsFile
from spqr_tests.checkpoint.parts import Parts
from spqr_tests.errors import InputError
from tests.checkpoint.formats import originals
from tests.checkpoint.formats.single_file.single_files import Published, header, read, refusal
from tests.checkpoint.tiny_pipelines import FolderOf, Tensors
from tests.tiny import backbones


@pytest.fixture(scope="module")
def original_of() -> Callable[[str], Tensors]:
    """A backbone's tiny pipeline in its authors' layout."""
    made = {name: originals.original(backbones.make(name), name) for name in backbones.NAMES}
    return lambda name: dict(made[name])


def digests(parts: Parts) -> dict[str, dict[str, str]]:
    return {
        name: {key: piece.digest() for key, piece in model.tensors.items()}
        for name, model in parts.models.items()
    }


@pytest.mark.parametrize("name", backbones.NAMES)
def test_a_file_is_the_pipeline_it_was_made_of(
    name: str, original_of: Callable[[str], Tensors], pipeline_folder_of: FolderOf, tmp_path: Path
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
    original_of: Callable[[str], Tensors], pipeline_folder_of: FolderOf, tmp_path: Path
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
    name: str,
    projection: bool,  # noqa: FBT001
    published: Published,
    tmp_path: Path,
) -> None:
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
    original_of: Callable[[str], Tensors], pipeline_folder_of: FolderOf, tmp_path: Path
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
    original_of: Callable[[str], Tensors], pipeline_folder_of: FolderOf, tmp_path: Path
) -> None:
    tensors = {name: tensor for name, tensor in original_of("sd3").items() if "t5xxl" not in name}
    parts = read(tmp_path / "model.safetensors", tensors, pipeline_folder_of("sd3"))
    assert "text_encoder_3" not in parts.models
    assert "tokenizer_3" not in parts.tokenizers


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


def test_a_file_generates_as_its_pipeline_does(
    original_of: Callable[[str], Tensors], pipeline_folder_of: FolderOf, tmp_path: Path
) -> None:
    from spqr_tests.checkpoint import loading

    def image(parts: Parts) -> Any:
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
    file = image(read(tmp_path / "model.safetensors", original_of("sdxl"), folder))
    folders = image(pipeline_folder.read("m", folder, BACKBONES, allow_pickle=False))
    assert (file == folders).all()
