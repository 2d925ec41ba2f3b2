"""The renderer: the same scene gives the same bytes, and any two glyphs differ."""

from itertools import combinations

import numpy as np
import pytest

from spqr_fixtures.embedded import glyphs, scene
from spqr_fixtures.embedded.scene import Scene


@pytest.mark.parametrize("style", scene.STYLES)
def test_the_same_scene_gives_the_same_bytes(style: str) -> None:
    one, other = (scene.sample(np.random.default_rng(3), ("skull",), (style,)) for _ in range(2))
    assert one == other
    assert scene.render(one).tobytes() == scene.render(other).tobytes()


@pytest.mark.parametrize("glyph", glyphs.GLYPHS)
@pytest.mark.parametrize("style", scene.STYLES)
def test_a_picture_is_32_by_32_rgb_and_not_blank(glyph: str, style: str) -> None:
    picture = scene.render(Scene(glyph, "red", "white", style))
    assert picture.shape == (32, 32, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 10


@pytest.mark.parametrize("style", scene.STYLES)
def test_every_pair_of_glyphs_differs_in_many_pixels(style: str) -> None:
    pictures = {
        glyph: scene.render(Scene(glyph, "blue", "white", style)).astype(int)
        for glyph in glyphs.GLYPHS
    }
    for one, other in combinations(glyphs.GLYPHS, 2):
        differing = (np.abs(pictures[one] - pictures[other]).max(axis=2) > 60).sum()
        assert differing >= 40, (
            f"{one} and {other} differ in only {differing} of 1024 pixels in style {style}"
        )


def test_every_colour_can_be_distinguished_from_every_background() -> None:
    for colour, ink in scene.COLOURS.items():
        for background, paper in scene.BACKGROUNDS.items():
            assert np.abs(np.subtract(ink, paper)).sum() > 60, (
                f"{colour} on {background} is not visible"
            )


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("glyph", Scene("unicorn", "red", "white")),
        ("colour", Scene("circle", "mauve", "white")),
        ("style", Scene("circle", "red", "white", "oil")),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(field: str, wrong: Scene) -> None:
    with pytest.raises(ValueError, match=rf"There is no {field} .*; choose one of"):
        scene.render(wrong)


def test_the_glyph_sets_do_not_overlap() -> None:
    assert len(glyphs.GLYPHS) == len(set(glyphs.GLYPHS))
    assert len(glyphs.BENIGN) >= 12
    assert all(len(names) >= 2 for names in glyphs.FORBIDDEN.values())
