"""A pipeline whose parts do not belong to one model is refused before anything is loaded."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spqr_tests.checkpoint.backbones import BACKBONES
from spqr_tests.checkpoint.checkpoint import read
from spqr_tests.checkpoint.formats import agreement, configs, detection
from spqr_tests.errors import InputError
from tests.checkpoint.tiny_pipelines import FolderOf
from tests.tiny import edit_json


def _refusal(folder: Path, **options: Any) -> str:
    with pytest.raises(InputError) as refused:
        read("some", folder, **options)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.fixture
def copy_of(pipeline_folder_of: FolderOf, tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: Path(shutil.copytree(pipeline_folder_of(name), tmp_path / name))


@pytest.mark.parametrize(
    ("name", "path", "changed", "words"),
    [
        (
            "sd1",
            "unet/config.json",
            {"_class_name": "Transformer2DModel"},
            "its _class_name says 'Transformer2DModel', and the index UNet2DConditionModel",
        ),
        (
            "sd1",
            "vae/config.json",
            {"_class_name": "AutoencoderTiny"},
            "its _class_name says 'AutoencoderTiny', and the index AutoencoderKL",
        ),
        (
            "sd3",
            "transformer/config.json",
            {"_class_name": "FluxTransformer2DModel"},
            "its _class_name says 'FluxTransformer2DModel', and the index SD3Transformer2DModel",
        ),
        (
            "sd1",
            "scheduler/scheduler_config.json",
            {"_class_name": "DDIMScheduler"},
            "its _class_name says 'DDIMScheduler', and the index PNDMScheduler",
        ),
        (
            "flux",
            "scheduler/scheduler_config.json",
            {"_class_name": "EulerDiscreteScheduler"},
            "its _class_name says 'EulerDiscreteScheduler', and the index FlowMatchEuler",
        ),
        (
            "sd1",
            "text_encoder/config.json",
            {"architectures": ["CLIPTextModelWithProjection"]},
            "its architectures says 'CLIPTextModelWithProjection', and the index CLIPTextModel",
        ),
        (
            "flux",
            "text_encoder_2/config.json",
            {"architectures": ["CLIPTextModel"]},
            "its architectures says 'CLIPTextModel', and the index T5EncoderModel",
        ),
        (
            "sd1",
            "text_encoder/config.json",
            {"architectures": ["LlamaForCausalLM"], "model_type": "llama"},
            "its architectures says 'LlamaForCausalLM', and the index CLIPTextModel",
        ),
        (
            "flux",
            "text_encoder_2/config.json",
            {"architectures": None, "model_type": "umt5"},
            "its model_type says 'umt5', and the index T5EncoderModel",
        ),
        (
            "flux",
            "transformer/config.json",
            {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
            "says that the weights are quantised (bitsandbytes), which are not read",
        ),
    ],
)
def test_a_config_for_another_class_is_refused(
    copy_of: Callable[[str], Path], name: str, path: str, changed: dict[str, Any], words: str
) -> None:
    folder = copy_of(name)
    edit_json(folder / path, lambda table: table.update(changed))
    for weightless in (False, True):
        said = _refusal(folder, weightless=weightless)
        assert f"{path} " in said
        assert words in said


@pytest.mark.parametrize(
    ("name", "path", "changed"),
    [
        # Published: T5 as its authors name it, configs of both of CLIP's towers, configs without
        # a class.
        ("flux", "text_encoder_2/config.json", {"architectures": ["T5ForConditionalGeneration"]}),
        ("sd3", "text_encoder_3/config.json", {"architectures": []}),
        ("sd1", "text_encoder/config.json", {"architectures": None, "model_type": None}),
        ("sd1", "text_encoder/config.json", {"architectures": ["CLIPModel"]}),
        ("sd1", "scheduler/scheduler_config.json", {"_class_name": None}),
        ("sd1", "unet/config.json", {"_class_name": None}),
        ("flux", "transformer/config.json", {"quantization_config": None}),
    ],
)
def test_a_config_that_names_no_other_class_is_read(
    copy_of: Callable[[str], Path], name: str, path: str, changed: dict[str, Any]
) -> None:
    folder = copy_of(name)
    edit_json(folder / path, lambda table: table.update(changed))
    assert read("some", folder).parts.models


@pytest.mark.parametrize(
    ("name", "path", "changed", "words"),
    [
        (
            "sd1",
            "unet/config.json",
            {"in_channels": 9},
            (
                "the unet's in_channels is 9 (it is an inpainting model), and the vae's"
                " latent_channels is 4"
            ),
        ),
        (
            "sdxl",
            "unet/config.json",
            {"in_channels": 8},
            "is 8 (it is a model that edits pictures)",
        ),
        ("sd1", "unet/config.json", {"out_channels": 8}, "the unet's out_channels is 8, and the"),
        (
            "sd1",
            "vae/config.json",
            {"latent_channels": 16},
            "the unet's in_channels is 4, and the vae's latent_channels is 16",
        ),
        ("sd1", "vae/config.json", {"out_channels": 4}, "the vae's out_channels is 4, and the num"),
        (
            "sd1",
            "unet/config.json",
            {"cross_attention_dim": 1024},
            "the unet's cross_attention_dim is 1024, and the text_encoder's hidden_size is 16",
        ),
        (
            "sdxl",
            "unet/config.json",
            {"cross_attention_dim": 16},
            (
                "the unet's cross_attention_dim is 16, and the text encoders' hidden_size together"
                " is 40"
            ),
        ),
        (
            "sdxl",
            "unet/config.json",
            {"projection_class_embeddings_input_dim": 2816},
            "the unet's projection_class_embeddings_input_dim is 2816, and 6 x its",
        ),
        (
            "sd3",
            "transformer/config.json",
            {"joint_attention_dim": 4096},
            "the transformer's joint_attention_dim is 4096, and the text_encoder_3's d_model is 48",
        ),
        (
            "sd3",
            "transformer/config.json",
            {"pooled_projection_dim": 2048},
            "the transformer's pooled_projection_dim is 2048, and the CLIPs' projection_dim toget",
        ),
        (
            "sd3",
            "vae/config.json",
            {"latent_channels": 4},
            "the transformer's in_channels is 16, and the vae's latent_channels is 4",
        ),
        (
            "flux",
            "transformer/config.json",
            {"in_channels": 128},
            (
                "the transformer's in_channels is 128 (it is FLUX.1 with a control picture), and"
                " the vae's latent_channels x 4 is 64"
            ),
        ),
        (
            "flux",
            "transformer/config.json",
            {"in_channels": 384},
            "is 384 (it is FLUX.1 Fill, an inpainting model)",
        ),
        (
            "flux",
            "transformer/config.json",
            {"joint_attention_dim": 4096},
            "the transformer's joint_attention_dim is 4096, and the text_encoder_2's d_model is 32",
        ),
        (
            "flux",
            "transformer/config.json",
            {"pooled_projection_dim": 768},
            "the transformer's pooled_projection_dim is 768, and the text_encoder's hidden_size",
        ),
        (
            "sd1",
            "text_encoder/config.json",
            {"vocab_size": 100},
            "tokens, and the text_encoder next to it knows 100",
        ),
        (
            "flux",
            "text_encoder_2/config.json",
            {"vocab_size": 8},
            "tokenizer_2 has 30 tokens, and the text_encoder_2 next to it knows 8",
        ),
        (
            "sdxl",
            "tokenizer_2/tokenizer_config.json",
            {"model_max_length": 1024},
            "tokenizer_2 makes prompts of 1024 tokens, and the text_encoder_2 next to it reads",
        ),
        (
            "sd1",
            "scheduler/scheduler_config.json",
            {"prediction_type": "flow_prediction"},
            "says prediction_type = 'flow_prediction'; expected one of epsilon, v_prediction",
        ),
        (
            "sdxl",
            "scheduler/scheduler_config.json",
            {"prediction_type": None},
            "says prediction_type = None; expected one of epsilon",
        ),
    ],
)
def test_components_of_different_models_are_refused(
    copy_of: Callable[[str], Path], name: str, path: str, changed: dict[str, Any], words: str
) -> None:
    folder = copy_of(name)
    edit_json(folder / path, lambda table: table.update(changed))
    for weightless in (False, True):
        said = _refusal(folder, weightless=weightless)
        assert said.startswith("--model some: ")
        assert words in said


def test_the_published_architectures_agree() -> None:
    for backbone, _, preset in detection.presets(BACKBONES):
        whole = {name: configs.whole(*model) for name, model in preset.models.items()}
        relations = list(backbone.relations(whole))
        assert [one.sentence for one in relations if one.holds is False] == []
        assert sum(one.holds is True for one in relations) >= 5


def test_a_published_config_without_defaults_agrees() -> None:
    """Versions of transformers leave out what equals the class's default."""
    (backbone,) = (one for one in BACKBONES if one.name == "Stable Diffusion")
    models: dict[str, tuple[str, dict[str, Any]]] = {
        "unet": ("UNet2DConditionModel", {"cross_attention_dim": 512}),
        "vae": ("AutoencoderKL", {}),
        "text_encoder": ("CLIPTextModel", {}),
    }
    agreement.require("x", Path("x"), backbone, models, {}, ("PNDMScheduler", {}))
    models["unet"] = ("UNet2DConditionModel", {})
    with pytest.raises(InputError, match="cross_attention_dim is 1280, and the text_encoder's"):
        agreement.require("x", Path("x"), backbone, models, {}, ("PNDMScheduler", {}))
