"""Recipes in a session: the plan counts what they take, the header says what they are."""

from pathlib import Path

import pytest

from tests.plugin.plans import Plan
from tests.running import PROTOCOL

TINY = PROTOCOL.read_text(encoding="utf-8")


@pytest.fixture
def protocol(tmp_path: Path) -> Path:
    """The tiny protocol, whose first two profiles are recipes."""
    text = TINY
    for before, after in (
        ('trains = "lora"\n', 'recipe = "kohya-lora"\naccumulation = 3\n'),
        (
            'trains = "cross-attention"\n',
            'recipe = "dreambooth"\nprior = {class_prompt = "a ring", images = 10}\n',
        ),
    ):
        assert text.count(before) == 1
        text = text.replace(before, after)
    path = tmp_path / "recipes.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_plan_counts_what_recipes_take(plan: Plan, protocol: Path) -> None:
    made = plan(protocol=protocol)
    assert made.code == 0, made.output
    images = {row["of"]: row["images"] for row in made.rows("images")}
    assert images["class of moderate"] == 10
    lite, moderate, standard = made.rows("finetunes")
    assert (lite["batch"], moderate["batch"], standard["batch"]) == (3, 1, 8)
    # Two pictures and two images of the class, against sixteen pictures.
    assert moderate["flops"] == pytest.approx(standard["flops"] / 4, rel=0.01)
    assert "lite is the recipe kohya-lora" in made.output


def test_a_recipe_for_other_models_ends_the_session_with_a_sentence(
    plan: Plan, protocol: Path
) -> None:
    text = protocol.read_text(encoding="utf-8")
    protocol.write_text(text.replace("kohya-lora", "kohya-flux-lora"), encoding="utf-8")
    made = plan(protocol=protocol)
    assert made.code == 4
    assert (
        "profiles.lite uses the recipe kohya-flux-lora, which exists for FLUX, and this checkpoint"
        " is Stable Diffusion; take another recipe, or leave the profile out."
    ) in made.output
