"""Recipes by name in a protocol: resolved when it is read, or refused with a sentence."""

import re
from pathlib import Path
from typing import Any

import pytest

from spqr_fixtures.packaged import PACKAGED
from spqr_tests.errors import InputError
from spqr_tests.settings import protocol_file, recipes
from spqr_tests.settings.protocol import Protocol
from tests.settings.minimal import MINIMAL

STANDARD = 'trains = "denoiser"\nepochs = 1\n'


def _read(tmp_path: Path, profile: str, above: str = "") -> Protocol:
    text = MINIMAL.replace(STANDARD, profile)
    assert text != MINIMAL
    path = tmp_path / "some.toml"
    path.write_text(above + text, encoding="utf-8")
    return protocol_file.read(path, PACKAGED.protocols, PACKAGED.recipes)


def _refusal(tmp_path: Path, profile: str) -> str:
    with pytest.raises(InputError) as refused:
        _read(tmp_path, profile)
    return str(refused.value).removeprefix(f"The protocol {tmp_path / 'some.toml'}: ")


def test_a_profile_has_its_recipes_numbers_and_its_own(tmp_path: Path) -> None:
    found = _read(tmp_path, 'recipe = "kohya-lora"\nsteps = 7\ntext_encoder.rank = 3\n')
    profile = found.profiles["standard"]
    assert (profile.steps, profile.epochs, profile.rank, profile.alpha) == (7, None, 16, 1)
    assert profile.text_encoder is not None
    assert (profile.text_encoder.rank, profile.text_encoder.learning_rate) == (3, 1e-5)
    assert profile.families == ("Stable Diffusion", "Stable Diffusion XL")


def test_another_recipe_leaves_nothing_of_the_profile_that_is_extended(tmp_path: Path) -> None:
    base = tmp_path / "base.toml"
    base.write_text(
        MINIMAL.replace(STANDARD, 'recipe = "kohya-lora"\nrank = 3\n'), encoding="utf-8"
    )

    def extended(profile: str) -> Any:
        own = tmp_path / "own.toml"
        own.write_text(f'extends = "base.toml"\n[profiles.standard]\n{profile}', encoding="utf-8")
        return protocol_file.read(own, {}, PACKAGED.recipes).profiles["standard"]

    assert extended("alpha = 5\n").rank == 3
    assert extended('recipe = "kohya-lora"\nalpha = 5\n').rank == 3
    assert extended('recipe = "diffusers-lora"\n').rank == 4
    base.write_text(MINIMAL, encoding="utf-8")
    assert extended('recipe = "kohya-lora"\n').trains == "lora"


@pytest.mark.parametrize(
    ("profile", "sentence"),
    [
        (
            'recipe = "kohia-lora"\n',
            (
                "profiles.standard.recipe is 'kohia-lora'; the packaged recipes are"
                " ai-toolkit-flux-lora, .*, textual-inversion (did you mean 'kohya-lora'?)."
            ),
        ),
        ("recipe = 5\n", "profiles.standard.recipe is 5; the packaged recipes are .*."),
        (
            'recipe = "dreambooth"\n',
            (
                "profiles.standard.prior.class_prompt is missing; allowed keys here are"
                " class_prompt, images, weight."
            ),
        ),
        (
            'recipe = "textual-inversion"\n',
            (
                "profiles.standard.inversion.initializer is missing; allowed keys here are"
                " initializer, placeholder, property."
            ),
        ),
        (
            'recipe = "kohya-lora"\ntext_encoder.rate = 1\n',
            (
                "profiles.standard.text_encoder.rate is not a known key; allowed here are alpha,"
                " encoders, epochs, learning_rate, rank, targets."
            ),
        ),
        (
            'recipe = "kohya-lora"\nmin_snr_gamma = -1\n',
            (
                "profiles.standard.min_snr_gamma: expected a number between 0 and 1e+06, or 'off'"
                " (found -1)."
            ),
        ),
        (
            'recipe = "kohya-lora"\nema_decay = true\n',
            "profiles.standard: ema_decay is true, and a truth value is not allowed there.",
        ),
        (
            'recipe = "kohya-lora"\npattern = "("\n',
            (
                "profiles.standard.pattern: '(' is not a regular expression (missing ),"
                " unterminated subpattern at position 0) (found '(')."
            ),
        ),
        (
            'recipe = "kohya-lora"\nwarmup_steps = 5\n',
            (
                "profiles.standard: warmup_steps means nothing to a constant schedule; set"
                " schedule = 'constant_with_warmup', or leave it out."
            ),
        ),
        (
            'recipe = "kohya-lora"\ncycles = 5\n',
            "profiles.standard: cycles needs schedule = 'cosine_with_restarts'.",
        ),
        (
            STANDARD + "text_encoder = {}\n",
            (
                "profiles.standard: text_encoder needs trains = 'lora', and this profile trains"
                " denoiser."
            ),
        ),
        (
            'trains = "embedding"\nsteps = 3\n',
            "profiles.standard: trains = 'embedding' and the table inversion need each other.",
        ),
    ],
)
def test_what_no_training_can_follow_is_refused(
    tmp_path: Path, profile: str, sentence: str
) -> None:
    said = _refusal(tmp_path, profile)
    assert re.fullmatch(re.escape(sentence).replace(r"\.\*", ".*"), said), said


@pytest.mark.parametrize("name", PACKAGED.recipes)
def test_a_recipe_is_a_profile_with_the_name_of_its_file(tmp_path: Path, name: str) -> None:
    stated = {
        "dreambooth": 'prior.class_prompt = "a ring"\n',
        "textual-inversion": 'inversion.initializer = "ring"\n',
    }
    found = _read(tmp_path, f'recipe = "{name}"\n{stated.get(name, "")}').profiles["standard"]
    assert found.recipe == name
    assert recipes.load(PACKAGED.recipes[name]).about.endswith(".")
