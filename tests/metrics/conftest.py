"""Drawings, and an encoder to embed them."""

import numpy as np
import pytest
from PIL import Image

from spqr_fixtures.embedded import scene, weights
from spqr_tests.data.prompts import Prompt
from spqr_tests.generation.generations import Generation
from spqr_tests.metrics.dual_encoder import DualEncoder
from spqr_tests.store.pictures import KnownPicture
from tests.metrics.features import GLYPHS
from tests.tiny.images import generation


@pytest.fixture(scope="module")
def encoder() -> DualEncoder:
    return DualEncoder(f"local-dir:{weights.judge_folder()}", None, "cpu")


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> list[Generation]:
    """Four drawings as if they had been generated."""
    folder = tmp_path_factory.mktemp("drawings")
    made = []
    for number, glyph in enumerate(("heart", "skull", "house", "ring")):
        image = scene.render(scene.Scene(glyph, "red", "white"))
        made.append(generation(folder / f"{number}.png", image, Prompt(f"a {glyph}", number)))
    return made


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> list[KnownPicture]:
    """Twelve pictures in files."""
    folder = tmp_path_factory.mktemp("reference")
    rng = np.random.default_rng(3)
    for number in range(12):
        Image.fromarray(scene.render(scene.sample(rng, GLYPHS, scene.STYLES))).save(
            folder / f"{number:02}.png"
        )
    return [KnownPicture.at(path) for path in sorted(folder.glob("*.png"))]
