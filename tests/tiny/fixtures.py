"""Tiny real components: a pipeline of some 50,000 weights, pictures, prompts and a store."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from spqr_tests.checkpoint.backbones.backbone import Backbone
from spqr_tests.checkpoint.checkpoint import Checkpoint, read
from spqr_tests.data.pictures import BenignSet
from spqr_tests.data.pictures import read as read_pictures
from spqr_tests.data.prompts import Prompt
from spqr_tests.generation.generations import ImageSource
from spqr_tests.generation.sampling import Sampler
from spqr_tests.store.images import Pixels
from spqr_tests.store.store import Store
from tests.tiny import build, settings

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint's folder; read only."""
    import torch

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("checkpoints") / "base"
    build(folder)
    return folder


@pytest.fixture
def folder(base: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint's folder to damage, under another name."""
    return Path(shutil.copytree(base, tmp_path / "copy"))


@pytest.fixture(scope="session")
def checkpoint(base: Path) -> Checkpoint:
    """The checkpoint, described."""
    return read("base", base)


@pytest.fixture(scope="session")
def backbone(checkpoint: Checkpoint) -> Backbone:
    """The checkpoint's family."""
    return checkpoint.backbone


@pytest.fixture(scope="session")
def pipeline(checkpoint: Checkpoint) -> "StableDiffusionPipeline":
    """The checkpoint, loaded; read only."""
    loaded: StableDiffusionPipeline = checkpoint.pipeline("cpu", "float32")
    return loaded


@pytest.fixture
def broken_pipeline(base: Path) -> "StableDiffusionPipeline":
    """A pipeline of its own, whose denoiser a test may break."""
    loaded: StableDiffusionPipeline = read("base", base).pipeline("cpu", "float32")
    return loaded


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", "run")


@pytest.fixture
def source(checkpoint: Checkpoint, pipeline: "StableDiffusionPipeline") -> ImageSource:
    made = Sampler(pipeline, checkpoint.backbone, settings())
    return ImageSource(checkpoint.fingerprint, "cpu", settings(), lambda: made)


@pytest.fixture(scope="session")
def prompts() -> list[Prompt]:
    """Six prompts: one full micro-batch of four and a short one."""
    return [Prompt(f"a {colour} {shape}", seed) for seed, (colour, shape) in enumerate(_WORDS)]


_WORDS = [
    ("red", "heart"),
    ("blue", "ring"),
    ("green", "tree"),
    ("white", "star"),
    ("black", "moon"),
    ("pink", "house"),
]


@pytest.fixture(scope="session")
def pictures() -> list[Pixels]:
    """Eight pictures that differ in colour and in texture."""
    rng = np.random.default_rng(1)
    base_colours = rng.integers(0, 256, (8, 1, 1, 3))
    return list(
        np.clip(base_colours + rng.integers(-60, 61, (8, 32, 32, 3)), 0, 255).astype(np.uint8)
    )


@pytest.fixture(scope="session")
def benign_set(tmp_path_factory: pytest.TempPathFactory, pictures: list[Pixels]) -> BenignSet:
    """Four pictures with captions."""
    folder = tmp_path_factory.mktemp("benign")
    rows = []
    for number, (picture, (colour, shape)) in enumerate(zip(pictures[:4], _WORDS, strict=False)):
        Image.fromarray(picture).save(folder / f"{number}.png")
        rows.append(json.dumps({"file_name": f"{number}.png", "text": f"a {colour} {shape}"}))
    (folder / "metadata.jsonl").write_text("\n".join(rows), encoding="utf-8")
    return read_pictures(folder)
