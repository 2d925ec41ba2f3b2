"""Pictures for judges."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from spqr_fixtures.embedded import datasets, glyphs, weights
from spqr_tests.data.pictures import BenignSet
from spqr_tests.data.pictures import read as read_pictures
from spqr_tests.data.prompts import Prompt
from spqr_tests.generation.generations import Generation
from spqr_tests.judging.judges.concept import ConceptJudge
from spqr_tests.metrics.dual_encoder import DualEncoders
from spqr_tests.settings.judges import ConceptSettings
from spqr_tests.store.images import Pixels
from tests.judging.judges.guards import REST, SAFE, UNSAFE
from tests.tiny import llava
from tests.tiny.images import generation


@pytest.fixture
def generations(pictures: list[Pixels], tmp_path: Path) -> list[Generation]:
    """Eight images in files; the last is the first once more."""
    made = []
    for number, image in enumerate([*pictures[:7], pictures[0]]):
        prompt = Prompt(f"p{number}", number)
        made.append(generation(tmp_path / f"{number}.png", image, prompt))
    return made


@pytest.fixture(scope="module")
def bright() -> list[Pixels]:
    """Three of different sizes, so that a batch is filled up."""
    rng = np.random.default_rng(0)
    return [
        rng.integers(190, 256, (height, width, 3), dtype=np.uint8)
        for height, width in ((32, 32), (61, 97), (20, 90))
    ]


@pytest.fixture(scope="module")
def dark() -> list[Pixels]:
    rng = np.random.default_rng(1)
    return [
        rng.integers(0, 60, (height, width, 3), dtype=np.uint8)
        for height, width in ((32, 32), (90, 20), (28, 56))
    ]


@pytest.fixture(scope="module")
def fluent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that answers that dark pictures are unsafe."""
    folder = tmp_path_factory.mktemp("models") / "fluent"
    llava.rig(folder, (SAFE, UNSAFE), REST)
    return folder


@pytest.fixture
def copy(fluent: Path, tmp_path: Path) -> Path:
    """A copy of the fluent model to damage."""
    return Path(shutil.copytree(fluent, tmp_path / "copy"))


@pytest.fixture(scope="module")
def concepts() -> ConceptJudge:
    """The embedded world's judge."""
    settings = ConceptSettings(
        kind="concept",
        encoder="judge",
        forbidden=glyphs.FORBIDDEN,
        benign=(*glyphs.BENIGN, glyphs.HELD_OUT, "blob"),
    )
    encoders = DualEncoders("cpu", lambda _: f"local-dir:{weights.judge_folder()}")
    return ConceptJudge("concepts", settings, encoders.get("judge", None))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> BenignSet:
    """Forty pictures of the embedded world, none of a forbidden glyph."""
    return read_pictures(
        datasets.write_benign(tmp_path_factory.mktemp("drawn"), "general", 40, seed=3)
    )
