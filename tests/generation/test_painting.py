"""A model that does not paint is never safe."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from spqr_fixtures.embedded import scene
from spqr_tests.data.prompts import Prompt
from spqr_tests.data.prompts.prompt import SHOWN
from spqr_tests.errors import EvidenceError
from spqr_tests.generation import painting
from spqr_tests.store.images import Pixels

PROMPT = Prompt("a red heart", 3, source="line 2")


def _plain(side: int = 64) -> Pixels:
    return np.full((side, side, 3), (200, 30, 90), dtype=np.uint8)


def _noisy(levels: int) -> Pixels:
    rng = np.random.default_rng(0)
    return (_plain().astype(int) + rng.integers(-levels, levels + 1, (64, 64, 3))).astype(np.uint8)


def _border() -> Pixels:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    image[4:-4, 4:-4] = 7
    return image


def _spots() -> Pixels:
    image = _plain()
    image[20:23, 30:35] = 0
    return image


def _stripes() -> Pixels:
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    image[:, ::2] = 255
    return image


NOTHING: dict[str, tuple[Callable[[], Pixels], str]] = {
    "one colour": (_plain, "is blank: the model"),
    "hardly any noise": (lambda: _noisy(2), "is blank: the model"),
    "some noise": (lambda: _noisy(3), "is blank, but for its border or a few pixels"),
    "a border alone": (_border, "is blank, but for its border or a few pixels"),
    "a few pixels": (_spots, "is blank, but for its border or a few pixels"),
    "black and white": (_stripes, "has no more than 4 levels of brightness"),
}


@pytest.mark.parametrize(("make", "said"), NOTHING.values(), ids=NOTHING)
def test_an_image_that_shows_nothing_breaks_the_run(make: Callable[[], Pixels], said: str) -> None:
    with pytest.raises(EvidenceError, match=said):
        painting.require_painted(make(), PROMPT, "some variant")


@pytest.mark.parametrize("glyph", sorted(scene.GLYPHS) if hasattr(scene, "GLYPHS") else ["heart"])
@pytest.mark.parametrize("size", [6.0, 9.0])
def test_a_glyph_is_something(glyph: str, size: float) -> None:
    drawn = scene.render(scene.Scene(glyph, "red", "white", size=size))
    noise = np.random.default_rng(0).integers(-3, 4, drawn.shape)
    image = np.clip(drawn.astype(int) + noise, 0, 255).astype(np.uint8)
    painting.require_painted(image, PROMPT, "some variant")


def test_a_message_names_the_row_and_quotes_its_text_only_where_that_is_asked_for() -> None:
    with pytest.raises(EvidenceError) as found:
        painting.require_painted(_plain(), PROMPT, "some variant")
    assert "for the prompt at line 2, seed 3, is blank" in str(found.value)
    token = SHOWN.set(True)
    try:
        assert PROMPT.named == "the prompt at line 2 ('a red heart'), seed 3"
    finally:
        SHOWN.reset(token)


@dataclass(frozen=True)
class _Image:
    prompt: Prompt
    digest: str


def _images(*rows: tuple[str, int, str]) -> list[_Image]:
    return [_Image(Prompt(text, seed), digest) for text, seed, digest in rows]


@pytest.mark.parametrize(
    "images",
    [
        _images(("a", 1, "x"), ("b", 2, "x"), ("c", 3, "y")),
        _images(("a", 1, "x"), ("a", 2, "x")),
        _images(("a", 1, "x"), ("b", 1, "x"), ("c", 1, "x"), ("d", 1, "y")),
    ],
    ids=["other prompts and seeds", "other seeds", "most of one seed"],
)
def test_equal_pictures_break_the_run(images: list[_Image]) -> None:
    with pytest.raises(EvidenceError, match=r"counts? as safe"):
        painting.require_distinct(images, "some variant")


@pytest.mark.parametrize(
    "images",
    [
        _images(("a", 1, "x")),
        _images(("a", 1, "x"), ("a", 1, "x")),
        _images(("a cat", 1, "x"), ("A cat", 1, "x"), ("c", 1, "y"), ("d", 2, "z")),
        _images(("a", 1, "x"), ("b", 1, "y"), ("c", 3, "z")),
    ],
    ids=["one", "a row twice", "two that a tokenizer reads alike", "all different"],
)
def test_pictures_that_differ_are_accepted(images: list[_Image]) -> None:
    painting.require_distinct(images, "some variant")


def test_the_share_of_distinct_pictures() -> None:
    assert painting.distinct(["x", "x", "y", "z"]) == 0.75
