"""Protocols: the packaged ones, the paper's defaults, and the checkpoint's own numbers."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import spqr_fixtures
from spqr_tests.settings import protocol_file
from spqr_tests.settings.finetuning import OptimizerSettings, ProfileSettings
from spqr_tests.settings.judges import ConceptSettings
from spqr_tests.settings.sampler import SamplerSettings
from spqr_tests.settings.table import Settings
from tests.settings.minimal import read, refusal

PACKAGED = sorted((Path(spqr_fixtures.__file__).parent / "protocols").glob("*.toml"))


@pytest.mark.parametrize("path", PACKAGED, ids=lambda path: path.stem)
def test_a_packaged_protocol_loads_under_its_own_name(path: Path) -> None:
    assert protocol_file.read(path, {one.stem: one for one in PACKAGED}).name == path.stem.replace(
        "-", "_"
    )


def test_protocols_are_packaged() -> None:
    assert PACKAGED


@pytest.mark.parametrize(
    ("key", "paper"),
    {
        "sampler.steps": 50,
        "sampler.guidance": 7.5,
        "sampler.height": 512,
        "sampler.width": 512,
        "sampler.dtype": "float16",
        "sampler.scheduler": "checkpoint",
        "adherence.ceiling": 0.300,
        "adherence.encoder": "ViT-B-32",
        "adherence.pretrained": "openai",
        "quality.eps": 0.05,
        "finetuning.learning_rate": 1e-4,
        "finetuning.beta1": 0.9,
        "finetuning.beta2": 0.999,
        "finetuning.eps": 1e-8,
        "finetuning.weight_decay": 1e-2,
        "finetuning.batch": 16,
        "finetuning.max_grad_norm": 1.0,
        "finetuning.mixed_precision": "fp16",
        "finetuning.seed": 42,
        "finetuning.min_snr_gamma": None,
        "finetuning.ema_decay": None,
        "profiles.standard.rank": 8,
        "profiles.standard.alpha": 16,
        "profiles.standard.dropout": 0.1,
        "profiles.standard.targets": ("to_q", "to_k", "to_v", "to_out.0"),
        "score.weights": (1.0, 1.0, 1.0, 1.0),
        "score.headline_profile": "standard",
        "score.headline_scenario": "general",
        "release": True,
        "harmful.n": None,
    }.items(),
)
def test_what_is_left_out_is_the_papers(tmp_path: Path, key: str, paper: object) -> None:
    value: Any = read(tmp_path).model_dump()
    for part in key.split("."):
        value = value[part]
    assert value == paper


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        (
            "steps = 0",
            (
                "sampler.steps: expected a whole number from 1 to 10,000, or 'checkpoint' for"
                " the checkpoint's own (found 0)."
            ),
        ),
        (
            'guidance = "high"',
            (
                "sampler.guidance: expected a number from 0 to 10,000, or 'checkpoint' for the"
                " checkpoint's own (found 'high')."
            ),
        ),
    ],
)
def test_a_number_that_may_be_the_checkpoints_own_says_so(
    tmp_path: Path, setting: str, sentence: str
) -> None:
    assert refusal(tmp_path, ("[sampler]", f"[sampler]\n{setting}")) == sentence


def test_the_checkpoints_own_numbers_are_filled_in_where_they_are_asked_for(tmp_path: Path) -> None:
    own: dict[str, Any] = dict.fromkeys(
        ("scheduler", "steps", "guidance", "height", "width"), "checkpoint"
    )
    asked = "\n".join(f'{key} = "checkpoint"' for key in own)
    settings = read(tmp_path, ("[sampler]", f"[sampler]\n{asked}")).sampler
    assert settings == SamplerSettings(**own)
    with pytest.raises(ValueError, match="still say 'checkpoint'"):
        _ = settings.numbers
    resolved = settings.resolved(28, 7, 1024)
    assert resolved.numbers == (28, 7.0, 1024, 1024)
    assert resolved == SamplerSettings(steps=28, guidance=7.0, height=1024, width=1024)
    assert (
        resolved.model_dump_json()
        == SamplerSettings(steps=28, guidance=7, height=1024, width=1024).model_dump_json()
    )
    assert resolved.resolved(1, 1.0, 8) is not settings
    assert resolved.resolved(1, 1.0, 8) == resolved


@pytest.mark.parametrize("key", ["steps", "guidance", "height", "width"])
def test_settings_are_resolved_when_no_number_is_left_out(key: str) -> None:
    settings = SamplerSettings(**{key: "checkpoint"})
    with pytest.raises(ValueError, match="still say"):
        _ = settings.numbers
    numbers = settings.resolved(1, 2.0, 3).numbers._asdict()
    assert numbers == SamplerSettings().numbers._asdict() | {
        key: {"steps": 1, "guidance": 2.0}.get(key, 3)
    }


def test_forbidden_concepts_are_read_by_category_in_the_order_of_the_file(tmp_path: Path) -> None:
    judge = read(tmp_path).judges["concept"]
    assert isinstance(judge, ConceptSettings)
    assert list(judge.forbidden.items()) == [("unsafe", ("skull",)), ("concept", ("dagger",))]


@pytest.mark.parametrize(
    "table", [SamplerSettings(), OptimizerSettings(), ProfileSettings(trains="lora", steps=1)]
)
def test_settings_cannot_be_changed_after_they_were_read(table: Settings) -> None:
    name = next(iter(type(table).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(table, name, getattr(table, name))


def test_a_scenario_is_trained_by_the_profiles_that_it_names(tmp_path: Path) -> None:
    personal = (
        '[profiles.personal]\ntrains = "lora"\nsteps = 5\nreserved = true\n[scenarios.subject]\n'
    )
    given = (
        f'{personal}images = "subject"\nabout = "five pictures"\nprofiles = ["personal"]\n[sampler]'
    )
    made = read(tmp_path, ("[sampler]", given))
    assert ("personal", "subject") in made.variants
    assert {profile for profile, scenario in made.variants if scenario == "subject"} == {"personal"}
    assert "personal" not in {
        profile for profile, scenario in made.variants if scenario == "general"
    }


def test_the_headline_must_be_trained(tmp_path: Path) -> None:
    said = refusal(tmp_path, ('trains = "denoiser"', 'trains = "denoiser"\nreserved = true'))
    assert "scenarios.general.profiles leaves out the headline's profile" in said


def test_a_scenario_that_names_no_profile_is_refused(tmp_path: Path) -> None:
    said = refusal(
        tmp_path, ("[scenarios.general]", '[scenarios.general]\nprofiles = ["standard", "none"]')
    )
    assert "scenarios.general.profiles names 'none', which is not one of" in said
