"""Families that are not measured are named, and never by a sentence that contradicts itself."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from spqr_tests.checkpoint.backbones import BACKBONES
from spqr_tests.checkpoint.checkpoint import read
from spqr_tests.checkpoint.formats import families
from spqr_tests.errors import InputError
from tests.checkpoint.tiny_pipelines import FolderOf
from tests.tiny import edit_json

DOCUMENT = Path(__file__).parents[3] / "docs" / "checkpoints.md"
NOT_YET = "a text-to-image family that is known but not supported yet"
FOLDERS = "a text-to-image family that is measured, but not from "
OVERLAY = (
    "a single file alone: pass its diffusers folder as --model, and this file as --spqr-overlay"
)
SUPPORTED = "expected one of " + ", ".join(
    sorted({name for backbone in BACKBONES for name in backbone.pipelines})
)
PIPELINES = {
    "KolorsPAGPipeline": "a copy whose index names KolorsPipeline",
    "PixArtAlphaPipeline": f"It is PixArt-Alpha: {NOT_YET}",
    "PixArtSigmaPAGPipeline": "a copy whose index names PixArtSigmaPipeline",
    "SanaPAGPipeline": "a copy whose index names SanaPipeline",
    "SanaSprintPipeline": f"It is Sana Sprint: {NOT_YET}",
    "LuminaPipeline": f"It is Lumina: {NOT_YET}",
    "Lumina2Text2ImgPipeline": f"It is Lumina: {NOT_YET}",
    "HiDreamImagePipeline": f"It is HiDream: {NOT_YET}",
    "Flux2Pipeline": f"It is FLUX.2: {NOT_YET}",
    "Flux2KleinKVPipeline": f"It is FLUX.2: {NOT_YET}",
    "HunyuanDiTPipeline": f"It is Hunyuan-DiT: {NOT_YET}",
    "StableCascadeDecoderPipeline": f"It is Stable Cascade: {NOT_YET}",
    "KandinskyV22Pipeline": f"It is Kandinsky: {NOT_YET}",
    "BriaPipeline": f"It is Bria: {NOT_YET}",
    "IFPipeline": f"It is DeepFloyd IF: {NOT_YET}",
    "StableDiffusionXLImg2ImgPipeline": "starts from a picture; only images from text alone",
    "StableDiffusionInpaintPipeline": "fills in a part of a picture; only images from text alone",
    "FluxFillPipeline": "fills in a part of a picture; only images from text alone",
    "FluxControlPipeline": "needs a control picture; only images from text alone",
    "FluxKontextPipeline": "edits a picture; only images from text alone",
    "StableDiffusion3ControlNetPipeline": "needs a control picture; only images from text alone",
    "StableDiffusionControlNetInpaintPipeline": "fills in a part of a picture; only images from",
    "StableDiffusionUpscalePipeline": "enlarges a picture; only images from text alone",
    "AnimateDiffPipeline": "generates video; only images from text alone",
    "WanPipeline": "generates video; only images from text alone",
    "AudioLDMPipeline": "generates sound; only images from text alone",
    "DDPMPipeline": "generates images without a text",
    "StableDiffusionOnnxPipeline": "an export to ONNX: pass the PyTorch pipeline",
    "OnnxStableDiffusionPipeline": "an export to ONNX: pass the PyTorch pipeline",
    "FlaxStableDiffusionPipeline": "for JAX: pass the PyTorch pipeline",
    "StableDiffusionPipelineSafe": "(safe latent diffusion), which is known but not supported yet",
    "StableDiffusionXLPAGPipeline": "a copy whose index names StableDiffusionXLPipeline",
    "LatentConsistencyModelPipeline": "a copy whose index names StableDiffusionPipeline",
}


def _refusal(target: str, path: Path, **options: Any) -> str:
    with pytest.raises(InputError) as refused:
        read(target, path, **options)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(("name", "words"), PIPELINES.items())
def test_a_pipeline_says_what_it_is_and_what_is_supported(
    name: str, words: str, pipeline_folder_of: FolderOf, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(pipeline_folder_of("sd1"), tmp_path / "model"))
    edit_json(folder / "model_index.json", lambda table: table.update(_class_name=name))
    said = _refusal("some", folder)
    assert f"names the pipeline {name!r}; {SUPPORTED}." in said
    assert words in said


def test_the_document_lists_them() -> None:
    part = DOCUMENT.read_text(encoding="utf-8").split("### Known and refused")[1].split("\n###")[0]
    rows = [line.split("|")[1:3] for line in part.splitlines() if line.startswith("| ")][1:]
    named = {name.strip(): re.findall(r"`(\w+Pipeline)`", how) for name, how in rows}
    told = {name: found[0] for name, found in named.items() if found}
    assert len(told) == 5
    for name, pipeline in told.items():
        said = families.of_pipeline(pipeline)
        assert NOT_YET in said
        assert name.removesuffix(" dev").removesuffix(" 1") in said


def test_what_diffusers_has_is_known() -> None:
    import diffusers

    supported = {name for backbone in BACKBONES for name in backbone.pipelines}
    classes = {name for name in dir(diffusers) if name.endswith("Pipeline")} - supported
    unknown = {name for name in classes if not families.of_pipeline(name)}
    assert len(unknown) < len(classes) / 10, "a release of diffusers brought many pipelines"
    assert not any(families.of_pipeline(name) for name in supported)


def test_a_pipeline_that_nobody_knows_is_told_what_is_supported(
    pipeline_folder_of: FolderOf, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(pipeline_folder_of("sd1"), tmp_path / "model"))
    edit_json(folder / "model_index.json", lambda table: table.update(_class_name="MyPipeline"))
    assert _refusal("some", folder).endswith(f"{SUPPORTED}.")


def test_playground_with_another_scheduler_is_not_taken_for_xl(
    pipeline_folder_of: FolderOf, tmp_path: Path
) -> None:
    """Its index names XL's pipeline, and its UNet was trained with other times."""
    folder = Path(shutil.copytree(pipeline_folder_of("sdxl"), tmp_path / "model"))
    statistics = {"latents_mean": [-1.6, 1.9, -1.4, 2.5], "latents_std": [8.5, 5.9, 6.5, 5.2]}
    edit_json(folder / "vae" / "config.json", lambda table: table.update(statistics))
    assert (
        "the length of the vae's latents_mean is 4 (it is Playground 2.5's, which one of EDM's"
        " schedulers samples)"
    ) in _refusal("some", folder)


def test_cosxl_is_not_taken_for_playground(pipeline_folder_of: FolderOf, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(pipeline_folder_of("sdxl"), tmp_path / "model"))
    edit_json(
        folder / "model_index.json",
        lambda table: table.update(scheduler=["diffusers", "EDMEulerScheduler"]),
    )
    (folder / "scheduler" / "scheduler_config.json").write_text(
        '{"prediction_type": "v_prediction"}', encoding="utf-8"
    )
    assert "prediction_type = 'v_prediction'; expected epsilon." in _refusal("some", folder)


def test_a_modular_pipeline_is_named(tmp_path: Path) -> None:
    (tmp_path / "modular_model_index.json").write_text("{}", encoding="utf-8")
    assert "modular pipelines, whose code may come from anywhere, are not read" in _refusal(
        "some", tmp_path
    )


# Names that diffusers tells single files by, and whether the family generates images from text.
ORACLE = {
    "flux2": "FLUX.2",
    "lumina2": "Lumina",
    "z-image-turbo": "Z-Image",
    "auraflow": "AuraFlow",
    "hidream": "HiDream",
    "stable_cascade_stage_c": "a stage of Stable Cascade",
    "controlnet": "a ControlNet",
    "ltx-video": "a video model",
    "hunyuan-video": "a video model",
    "wan": "a video model",
    "animatediff": "a motion module of AnimateDiff",
    "xl_refiner": "the refiner of Stable Diffusion XL",
}
# In the names of diffusers' own transformers, or of authors' files that it does not tell.
NAMES = {
    "edm_vpred.sigma_max": "a model with EDM's noise schedule that predicts velocity",
    "distilled_guidance_layer.in_proj.bias": "Chroma",
    "encoder_hid_proj.weight": "Kolors",
    "model.diffusion_model.blocks.0.mlp.inverted_conv.conv.weight": "Sana",
    "transformer_blocks.0.ff.conv_inverted.weight": "Sana",
    "y_embedder.y_proj.fc1.weight": "PixArt",
    "caption_projection.linear_1.weight": "PixArt",
    "transformer_blocks.0.img_mod.1.weight": "Qwen-Image",
    "model.diffusion_model.double_stream_modulation_img.lin.weight": "FLUX.2",
    "mlp_t5.0.weight": "Hunyuan-DiT",
    "joint_transformer_blocks.0.attn.to_q.weight": "AuraFlow",
    "all_x_embedder.2-1.weight": "Z-Image",
    "model.diffusion_model.byt5_in.layernorm.weight": "HunyuanImage",
}


def _published(key: str) -> str:
    """The first name by which diffusers tells files of a kind."""
    from diffusers.loaders.single_file_utils import CHECKPOINT_KEY_NAMES

    names: str | list[str] = CHECKPOINT_KEY_NAMES[key]
    return names if isinstance(names, str) else names[0]


@pytest.mark.parametrize(("name", "words"), [*NAMES.items(), *ORACLE.items()])
def test_a_single_file_says_what_it_is(name: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({_published(name) if name in ORACLE else name: torch.zeros(2, 2)}, path)
    said = _refusal(str(path), path)
    assert f"it is {words}" in said
    family = not words.startswith(("a ControlNet", "a video", "a motion", "the refiner"))
    measured = words in {one.name for one in families.TEXT_TO_IMAGE if one.folder}
    assert (NOT_YET in said) == (family and not measured)
    assert (FOLDERS in said) == measured
    converted = {one.name for one in families.TEXT_TO_IMAGE if one.transformer}
    assert (OVERLAY in said) == (words in converted)
    assert ("pass a text-to-image checkpoint" in said) != family
