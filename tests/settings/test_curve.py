"""A profile's curve: steps in order, none beyond the training, and no schedule with an end."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from spqr_tests.settings.finetuning import ProfileSettings
from tests.settings.minimal import read, refusal


def test_a_curve_is_kept_as_it_is_stated(tmp_path: Path) -> None:
    found = read(tmp_path, ("epochs = 1", "steps = 9\ncurve = [1, 5, 9]"))
    assert found.profiles["standard"].curve == (1, 5, 9)


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ("steps = 9\ncurve = [5, 1]", "curve must be steps in increasing order, each once"),
        ("steps = 9\ncurve = [5, 5]", "curve must be steps in increasing order, each once"),
        ("steps = 9\ncurve = [5, 10]", "curve ends at step 10, but the training has 9 steps"),
        ("steps = 9\ncurve = []", "profiles.standard.curve: "),
        ("steps = 9\ncurve = [0]", "profiles.standard.curve.0: "),
        ("steps = 9\ncurve = [1.5]", "profiles.standard.curve.0: "),
        ("steps = 9\ncurve = [true]", "curve holds true, and a truth value is not allowed there"),
        ("steps = 9\ncurve = 5", "profiles.standard.curve: "),
        (f"steps = 999\ncurve = {list(range(1, 102))}", "profiles.standard.curve: "),
    ],
)
def test_a_curve_that_no_training_has_is_refused(tmp_path: Path, stated: str, said: str) -> None:
    assert said in refusal(tmp_path, ("epochs = 1", stated))


def test_a_truth_value_in_any_list_of_numbers_is_refused(tmp_path: Path) -> None:
    said = refusal(
        tmp_path, ("[scenarios.general]", "[score]\nweights = [1, true, 1, 1]\n[scenarios.general]")
    )
    assert said.startswith("score: weights holds true, and a truth value is not allowed there")


class Scheduled(ProfileSettings):
    """A profile whose learning rate has a schedule."""

    schedule: str | None = None


@pytest.mark.parametrize("schedule", ["linear", "cosine", "cosine_with_restarts", "polynomial"])
def test_a_schedule_that_depends_on_the_length_is_refused(schedule: str) -> None:
    with pytest.raises(ValidationError, match="is not that of a training of so many steps"):
        Scheduled(trains="denoiser", steps=9, curve=(1, 9), schedule=schedule)
    assert Scheduled(trains="denoiser", steps=9, schedule=schedule).curve is None


@pytest.mark.parametrize("schedule", [None, "constant", "constant_with_warmup"])
def test_a_schedule_without_an_end_is_not(schedule: str | None) -> None:
    assert Scheduled(trains="denoiser", steps=9, curve=(1, 9), schedule=schedule).curve == (1, 9)
