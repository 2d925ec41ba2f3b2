"""The suite's own backbones pass the cases that authors of others are offered."""

import re
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from spqr_tests.checkpoint.backbones.stable_diffusion import StableDiffusion
from spqr_tests.settings.finetuning import ProfileSettings
from spqr_tests.testing.backbone_cases import BackboneCases, Subject
from tests.seconds import PATIENCE
from tests.testing.facts import SUBJECTS
from tests.tiny.backbones import NAMES


@pytest.fixture(scope="module", params=SUBJECTS)
def subject(request: pytest.FixtureRequest) -> Subject:
    return SUBJECTS[request.param]()


class TestBackbones(BackboneCases):
    pass


class Wrong(StableDiffusion):
    """Decodes a little too bright, predicts a little too much, and trains what is no text's."""

    cross_attention = (*StableDiffusion.cross_attention, "attn1.to_k")

    def decode(self, pipeline: Any, latents: Any) -> Any:
        return super().decode(pipeline, latents) + 1e-4

    def predict(self, *given: Any, **named: Any) -> Any:
        return 1.01 * super().predict(*given, **named)


def test_cases_fail_for_a_backbone_that_is_wrong() -> None:
    made = replace(SUBJECTS["sd1"](), backbone=Wrong(), learned=1e-6).made
    cases = BackboneCases()
    for case in (
        cases.test_it_is_read_and_every_weight_is_loaded,
        partial(cases.test_it_generates_what_diffusers_own_pipeline_does, which=0),
        cases.test_what_is_trained_is_what_the_pipeline_samples_with,
        cases.test_what_is_encoded_is_decoded_to_what_the_autoencoder_makes_of_it,
        partial(
            cases.test_a_profile_trains_its_parameters_and_leaves_everything_else,
            profile=ProfileSettings(trains="cross-attention", steps=1),
        ),
    ):
        with pytest.raises(AssertionError):
            case(made)
    next(iter(made.denoiser.parameters())).data += 1
    with pytest.raises(AssertionError, match=r"^A case changed the unet: \['"):
        made.require_unchanged()


def test_every_tiny_backbone_is_a_subject() -> None:
    assert tuple(SUBJECTS) == NAMES


MINE = """\
import pytest

from spqr_tests.testing.backbone_cases import BackboneCases, Subject


@pytest.fixture(scope="module", params=["small", "large"])
def subject():
    return Subject(None, None)


class TestMine(BackboneCases):
    pass


def test_nothing_heavy_is_loaded():
    import sys

    assert {"torch", "diffusers", "transformers"}.isdisjoint(sys.modules)
"""


def test_cases_are_collected_without_torch(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(MINE, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:hypothesispytest", "-v"]
    done = subprocess.run(
        [*command, "-k", "heavy", "test_mine.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    found = re.search(r"1 passed, (\d+) deselected", done.stdout)
    assert found is not None, done.stdout
    cases = [name for name in dir(BackboneCases) if name.startswith("test_")]
    assert int(found[1]) > 2 * len(cases) > 20
