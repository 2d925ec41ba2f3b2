"""Backbones: what their configs say, and what they refuse."""

import inspect
import subprocess
import sys
from typing import Any

import pytest

from spqr_tests.checkpoint.backbones import BACKBONES, profile_check
from spqr_tests.checkpoint.backbones.backbone import Defaults
from spqr_tests.checkpoint.formats import libraries
from spqr_tests.errors import InputError
from spqr_tests.settings.finetuning import OptimizerSettings, ProfileSettings
from spqr_tests.settings.trainer import InversionSettings, TextEncoderSettings
from tests.tiny import settings
from tests.tiny.backbones import NAMES

FAMILY = (
    "Stable Diffusion",
    "Stable Diffusion",
    "Stable Diffusion XL",
    "Stable Diffusion 3",
    "FLUX",
)
FAMILIES = {
    name: next(one for one in BACKBONES if one.name == family)
    for name, family in zip(NAMES, FAMILY, strict=True)
}
# The published values that decide size and defaults.
VAE = {"block_out_channels": [128, 256, 512, 512], "sample_size": 1024}
CONFIGS: dict[str, dict[str, dict[str, Any]]] = {
    "sd1": {"unet": {"sample_size": 64}, "vae": VAE},
    "sd2": {"unet": {"sample_size": 96}, "vae": VAE},
    "sdxl": {"unet": {"sample_size": 128}, "vae": VAE},
    "sd3": {"transformer": {"sample_size": 128, "patch_size": 2}, "vae": VAE},
    "flux": {"transformer": {"guidance_embeds": True}, "vae": VAE},
}


def test_backbones_are_found_without_torch() -> None:
    code = (
        "import sys; from spqr_tests.checkpoint.backbones import BACKBONES; print(len(BACKBONES),"
        " 'torch' in sys.modules)"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        == f"{len(BACKBONES)} False\n"
    )


def test_every_backbone_has_what_its_pipelines_need() -> None:
    import diffusers

    for backbone in BACKBONES:
        for name in backbone.pipelines:
            needed = inspect.signature(getattr(diffusers, name)).parameters
            stated = {
                *backbone.models,
                *backbone.tokenizers,
                "scheduler",
                *backbone.left_out,
                *backbone.arguments,
            }
            assert needed.keys() <= stated | {"requires_safety_checker", "add_watermarker"}
            assert {*backbone.models, *backbone.tokenizers, *backbone.arguments} <= needed.keys()
        assert backbone.denoiser in backbone.models
        for classes in (
            *(names for _, names in backbone.models.values()),
            backbone.schedulers,
            *backbone.tokenizers.values(),
        ):
            for name in classes:
                assert libraries.find(name).__name__.removesuffix("Fast") == name.removesuffix(
                    "Fast"
                )
        assert set(backbone.samplers.values()) <= backbone.schedulers


@pytest.mark.parametrize(
    ("name", "side"),
    [("sd1", 512), ("sd2", 768), ("sdxl", 1024), ("sd3", 1024), ("flux", 1024)],
    ids=str,
)
def test_the_resolution_is_what_the_configs_say(name: str, side: int) -> None:
    assert FAMILIES[name].resolution(CONFIGS[name]) == side


@pytest.mark.parametrize("size", [[64, 64], (64, 64)])
def test_a_size_may_be_given_for_each_side(size: object) -> None:
    assert FAMILIES["sd1"].resolution({"unet": {"sample_size": size}, "vae": VAE}) == 512


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [None, "64", True, 0, [64, 96], [64], [True, True]])
def test_a_config_without_a_size_is_an_error(name: str, size: object) -> None:
    configs = {part: {**config, "sample_size": size} for part, config in CONFIGS[name].items()}
    with pytest.raises((KeyError, TypeError)):
        FAMILIES[name].resolution(configs)


@pytest.mark.parametrize(
    ("name", "changed", "expected"),
    [
        ("sd1", {}, Defaults(50, 7.5)),
        ("sdxl", {}, Defaults(50, 5.0)),
        ("sd3", {"qk_norm": None, "dual_attention_layers": []}, Defaults(28, 7.0)),
        ("sd3", {"qk_norm": "rms_norm"}, Defaults(28, 3.5)),
        ("sd3", {"qk_norm": "rms_norm", "dual_attention_layers": [0, 1]}, Defaults(40, 4.5)),
        ("flux", {}, Defaults(50, 3.5)),
        ("flux", {"guidance_embeds": False}, Defaults(4, 0.0)),
    ],
)
def test_defaults_are_those_of_the_published_model(
    name: str, changed: dict[str, Any], expected: Defaults
) -> None:
    backbone = FAMILIES[name]
    configs = CONFIGS[name]
    configs = configs | {backbone.denoiser: configs[backbone.denoiser] | changed}
    assert backbone.published(configs) == expected


TRAILING = {"timestep_spacing": "trailing", "prediction_type": "epsilon"}
EULER = {"_class_name": "EulerDiscreteScheduler", **TRAILING}
ANCESTRAL = {"_class_name": "EulerAncestralDiscreteScheduler", **TRAILING}
FLOW = {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 1.0}


@pytest.mark.parametrize(
    ("name", "denoiser", "scheduler", "expected"),
    [
        # Published: sdxl-turbo, sd-turbo, LCM_Dreamshaper and lcm-sdxl, LCM-LoRA and Hyper-SD
        # merged into their bases, schnell.
        ("sdxl", {"sample_size": 64}, ANCESTRAL, Defaults(1, 0.0, "SDXL Turbo")),
        ("sdxl", {"sample_size": 64}, EULER, Defaults(1, 0.0, "SDXL Turbo")),
        (
            "sd2",
            {"sample_size": 64, "cross_attention_dim": 1024},
            EULER,
            Defaults(1, 0.0, "SD Turbo"),
        ),
        (
            "sd1",
            {"time_cond_proj_dim": 256},
            {"_class_name": "LCMScheduler"},
            Defaults(4, 8.0, "a latent consistency model (LCM) that takes guidance as an input"),
        ),
        (
            "sdxl",
            {},
            {"_class_name": "LCMScheduler"},
            Defaults(4, 0.0, "a latent consistency model (LCM)"),
        ),
        (
            "sd1",
            {},
            {"_class_name": "TCDScheduler"},
            Defaults(
                4, 0.0, "a model distilled for trajectory consistency (TCD), such as Hyper-SD"
            ),
        ),
        (
            "flux",
            {"guidance_embeds": False},
            FLOW | {"use_dynamic_shifting": False},
            Defaults(4, 0.0, "FLUX.1 schnell"),
        ),
        # Without input for guidance, but not schnell's schedule: dev, trained for real guidance.
        (
            "flux",
            {"guidance_embeds": False},
            FLOW | {"use_dynamic_shifting": True},
            Defaults(4, 0.0),
        ),
        ("flux", {}, FLOW | {"use_dynamic_shifting": True}, Defaults(50, 3.5)),
        # Lightning looks like a base model that is sampled from the last timestep on.
        ("sdxl", {}, EULER, Defaults(50, 5.0)),
        ("sd1", {}, EULER, Defaults(50, 7.5)),
        # Zero terminal SNR: trailing, and not distilled.
        (
            "sd2",
            {"sample_size": 64, "cross_attention_dim": 1024},
            EULER | {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"},
            Defaults(50, 7.5),
        ),
        (
            "sdxl",
            {"sample_size": 64},
            EULER | {"timestep_spacing": "leading"},
            Defaults(50, 5.0),
        ),
    ],
)
def test_a_distilled_model_is_recognised_where_its_configs_tell(
    name: str, denoiser: dict[str, Any], scheduler: dict[str, Any], expected: Defaults
) -> None:
    backbone = FAMILIES[name]
    configs = CONFIGS[name] | {"scheduler": scheduler}
    configs[backbone.denoiser] = configs[backbone.denoiser] | denoiser
    assert backbone.published(configs) == expected


@pytest.mark.parametrize("scheduler", ["LCMScheduler", "TCDScheduler"])
def test_more_steps_than_a_model_was_distilled_from_are_refused(scheduler: str) -> None:
    backbone = FAMILIES["sd1"]
    configs = CONFIGS["sd1"] | {"scheduler": {"_class_name": scheduler}}
    backbone.check(settings(steps=50, height=512, width=512), configs)
    backbone.check(settings(steps=60, scheduler="ddim", height=512, width=512), configs)
    with pytest.raises(
        InputError,
        match=rf"^sampler\.steps is 60, and this checkpoint's {scheduler} has at most 50",
    ):
        backbone.check(settings(steps=60, height=512, width=512), configs)


def test_a_sampler_that_a_flow_model_cannot_use_is_refused() -> None:
    with pytest.raises(
        InputError,
        match=(
            r"^sampler\.scheduler is 'ddim', which does not work with FLUX; use one of:"
            r" 'checkpoint'\.$"
        ),
    ):
        FAMILIES["flux"].check(settings(scheduler="ddim", height=1024, width=1024), CONFIGS["flux"])


@pytest.mark.parametrize(
    ("name", "height", "step", "near"),
    [("sd1", 515, 8, 512), ("sdxl", 3, 8, 8), ("sd3", 1016, 16, 1024), ("flux", 1000, 16, 992)],
)
def test_a_size_that_a_backbone_cannot_generate_is_refused(
    name: str, height: int, step: int, near: int
) -> None:
    backbone = FAMILIES[name]
    with pytest.raises(InputError) as refused:
        backbone.check(settings(height=height, width=1024), CONFIGS[name])
    assert (
        str(refused.value)
        == f"sampler.height is {height}, and this {backbone.name} checkpoint generates multiples of"
        f" {step} pixels; try {near}."
    )
    with pytest.raises(InputError, match=r"^sampler\.width is "):
        backbone.check(settings(height=1024, width=height), CONFIGS[name])


@pytest.mark.parametrize("name", NAMES)
def test_what_a_backbone_can_generate_is_not_refused(name: str) -> None:
    backbone = FAMILIES[name]
    for scheduler in ("checkpoint", *backbone.samplers):
        backbone.check(settings(scheduler=scheduler, height=1024, width=768), CONFIGS[name])


@pytest.mark.parametrize(
    ("name", "flow"),
    [("sd1", False), ("sd2", False), ("sdxl", False), ("sd3", True), ("flux", True)],
)
def test_min_snr_is_refused_where_it_means_nothing(name: str, flow: bool) -> None:  # noqa: FBT001
    backbone = FAMILIES[name]
    backbone.check_optimizer(OptimizerSettings())
    if flow:
        with pytest.raises(
            InputError,
            match=r"^finetuning\.min_snr_gamma weighs the loss of diffusion models, and ",
        ):
            backbone.check_optimizer(OptimizerSettings(min_snr_gamma=5))
    else:
        backbone.check_optimizer(OptimizerSettings(min_snr_gamma=5))


@pytest.mark.parametrize("name", ["PixArt-Sigma", "Sana", "AuraFlow", "Kolors"])
def test_a_family_without_clip_has_no_text_encoder_to_train(name: str) -> None:
    (backbone,) = (one for one in BACKBONES if one.name == name)
    profile = ProfileSettings(trains="lora", steps=1)
    profile_check.check(backbone, "mine", profile, OptimizerSettings())
    for key, stated in (
        ("text_encoder", TextEncoderSettings()),
        ("text_encoder", TextEncoderSettings(encoders=("text_encoder",))),
        ("inversion", InversionSettings(initializer="ring")),
    ):
        changed = profile.model_copy(update={key: stated})
        with pytest.raises(InputError) as refused:
            profile_check.check(backbone, "mine", changed, OptimizerSettings())
        said = f"profiles.mine.{key} trains CLIP text encoders, and {name} has none; leave it out."
        assert str(refused.value) == said


def test_a_loss_of_its_own_takes_no_other_loss_s_settings() -> None:
    (backbone,) = (one for one in BACKBONES if one.name == "Playground 2.5")
    with pytest.raises(
        InputError, match=r"Playground 2\.5 is trained by EDM's preconditioned loss"
    ):
        backbone.check_optimizer(OptimizerSettings(min_snr_gamma=5))
    profile = ProfileSettings(trains="lora", steps=1, times="uniform")
    with pytest.raises(
        InputError, match=r"Playground 2\.5 is trained by EDM's preconditioned loss"
    ):
        profile_check.check(backbone, "mine", profile, OptimizerSettings())
    (sana,) = (one for one in BACKBONES if one.name == "Sana")
    profile_check.check(sana, "mine", profile, OptimizerSettings())
    with pytest.raises(InputError, match="Sana is trained by flow matching"):
        sana.check_optimizer(OptimizerSettings(min_snr_gamma=5))
