"""Configs: one form in every version of the libraries, and another when a used value changes."""

import json
from importlib import resources
from typing import Any

import pytest

from spqr_tests.checkpoint.backbones import BACKBONES
from spqr_tests.checkpoint.formats import configs
from tests.checkpoint.tiny_pipelines import FolderOf
from tests.tiny import backbones

CLASSES = sorted(
    {name for backbone in BACKBONES for _, allowed in backbone.models.values() for name in allowed}
    | {
        name
        for backbone in BACKBONES
        for name in (*backbone.schedulers, *backbone.samplers.values())
    }
)
TABLE: dict[str, dict[str, Any]] = json.loads(
    resources.files(configs.__package__)
    .joinpath("config_defaults.json")
    .read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", CLASSES)
def test_the_table_agrees_with_the_installed_libraries(name: str) -> None:
    installed = configs.installed(name)
    known = {key: value for key, value in TABLE[name].items() if key in installed}
    assert len(known) >= len(installed) - 5, (
        "a release of the libraries brought many keys: write the table again"
    )
    assert known == {key: installed[key] for key in known}


def test_the_table_holds_the_classes_that_are_loaded() -> None:
    assert sorted(TABLE) == CLASSES


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_of_its_defaults_has_nothing_to_say(name: str) -> None:
    assert configs.canonical(name, TABLE[name]) == {}
    assert configs.canonical(name, {}) == {}


@pytest.mark.parametrize("name", backbones.NAMES)
def test_a_config_as_an_older_version_saved_it_is_the_same(
    pipeline_folder_of: FolderOf, name: str
) -> None:
    """Older versions knew fewer keys, and wrote fewer defaults."""
    folder = pipeline_folder_of(name)
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    for path in (*folder.glob("*/config.json"), *folder.glob("*/scheduler_config.json")):
        config = json.loads(path.read_text(encoding="utf-8"))
        model_class = index[path.parent.name][1]
        expected = configs.canonical(model_class, config)
        older = {
            key: value for key, value in config.items() if value != TABLE[model_class].get(key, ...)
        }
        assert len(older) < len(config)
        assert configs.canonical(model_class, older) == expected
        assert configs.canonical(model_class, TABLE[model_class] | config) == expected


@pytest.mark.parametrize(
    ("name", "config"),
    [
        (
            "UNet2DConditionModel",
            {"_diffusers_version": "0.1", "_name_or_path": "x", "_class_name": "y"},
        ),
        (
            "CLIPTextModel",
            {
                "transformers_version": "5",
                "torch_dtype": "float16",
                "dtype": "float16",
                "architectures": ["X"],
            },
        ),
        (
            "CLIPTextModel",
            {
                "model_type": "clip_text_model",
                "auto_map": {"AutoModel": "x.Y"},
                "projection_dim": 768,
            },
        ),
        ("CLIPTextModel", {"bos_token_id": 0, "pad_token_id": 1}),
        (
            "T5EncoderModel",
            {
                "is_encoder_decoder": False,
                "num_decoder_layers": 24,
                "use_cache": False,
                "output_past": True,
            },
        ),
        (
            "T5EncoderModel",
            {"feed_forward_proj": "relu", "dense_act_fn": "relu", "is_gated_act": False},
        ),
        ("PNDMScheduler", {"clip_sample": True, "use_karras_sigmas": False}),
        ("DPMSolverMultistepScheduler", {"lambda_min_clipped": float("-inf")}),
    ],
)
def test_what_changes_nothing_is_left_out(name: str, config: dict[str, Any]) -> None:
    assert configs.canonical(name, config) == {}


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("UNet2DConditionModel", {"norm_eps": 1e-4}),
        ("UNet2DConditionModel", {"use_linear_projection": 0}),
        ("UNet2DConditionModel", {"a_key_of_tomorrow": None}),
        ("AutoencoderKL", {"scaling_factor": 0.13025}),
        ("AutoencoderKL", {"latents_mean": [0, 1]}),
        ("CLIPTextModel", {"eos_token_id": 2}),
        ("CLIPTextModelWithProjection", {"projection_dim": 1280}),
        ("T5EncoderModel", {"dense_act_fn": "gelu_new"}),
        # A protocol's own sampler uses these values even where the checkpoint's scheduler does not.
        ("PNDMScheduler", {"use_karras_sigmas": True}),
        ("PNDMScheduler", {"prediction_type": "v_prediction"}),
        ("DPMSolverMultistepScheduler", {"lambda_min_clipped": -5.1}),
        ("DPMSolverMultistepScheduler", {"lambda_min_clipped": float("inf")}),
    ],
)
def test_what_changes_something_is_kept(name: str, config: dict[str, Any]) -> None:
    assert configs.canonical(name, config).keys() == config.keys()


def test_gated_activations_follow_from_one_key() -> None:
    short = configs.canonical("T5EncoderModel", {"feed_forward_proj": "gated-gelu"})
    assert short == {"feed_forward_proj": "gated-gelu"}
    derived = {"feed_forward_proj": "gated-gelu", "dense_act_fn": "gelu_new", "is_gated_act": True}
    assert configs.canonical("T5EncoderModel", derived) == short
    assert configs.canonical("T5EncoderModel", derived | {"dense_act_fn": "relu"}) != short


def test_each_number_and_list_is_written_in_one_way() -> None:
    one = configs.canonical(
        "AutoencoderKL",
        {"scaling_factor": 1, "latents_mean": (1.0, 2.5), "block_out_channels": (8, 16)},
    )
    other = configs.canonical(
        "AutoencoderKL",
        {"scaling_factor": 1.0, "latents_mean": [1, 2.5], "block_out_channels": [8, 16.0]},
    )
    assert json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def test_gemma_s_config_is_the_same_in_the_words_of_every_transformers() -> None:
    """Structure of the published one, by transformers 4.42; today's is the library's own."""
    from transformers import Gemma2Config

    published: dict[str, Any] = {
        "architectures": ["Gemma2ForCausalLM"],
        "attention_bias": False,
        "attn_logit_softcapping": 50.0,
        "bos_token_id": 2,
        "cache_implementation": "hybrid",
        "eos_token_id": [1, 107],
        "final_logit_softcapping": 30.0,
        "head_dim": 256,
        "hidden_activation": "gelu_pytorch_tanh",
        "hidden_size": 1152,
        "intermediate_size": 9216,
        "model_type": "gemma2",
        "num_hidden_layers": 26,
        "query_pre_attn_scalar": 224,
        "rope_theta": 10000.0,
        "sliding_window": 4096,
        "vocab_size": 256000,
    }
    found = configs.canonical("Gemma2Model", published)
    assert found == {"hidden_size": 1152, "query_pre_attn_scalar": 224}
    assert configs.canonical("Gemma2Model", Gemma2Config.from_dict(published).to_dict()) == found
    for changed in ({"rope_theta": 20000.0}, {"sliding_window": 8}, {"attn_logit_softcapping": 9}):
        assert configs.canonical("Gemma2Model", published | changed) != found
