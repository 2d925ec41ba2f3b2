"""Every row of the tables in docs/checkpoints.md, under the row's name.

The file is written and loaded, and its pipeline generates the images that the original generates.
"""

from pathlib import Path
from typing import Any

import pytest

from spqr_tests.checkpoint import prompt_scaled
from spqr_tests.checkpoint.checkpoint import Checkpoint, read
from spqr_tests.checkpoint.strengths import Given
from tests.checkpoint.formats import published_models, published_overlays
from tests.checkpoint.formats.published import Command, Writer
from tests.checkpoint.tiny_pipelines import FolderOf
from tests.tiny import backbones

DOCUMENT = Path(__file__).parents[3] / "docs" / "checkpoints.md"
ROWS = published_models.ROWS | published_overlays.ROWS


@pytest.mark.parametrize("name", ROWS)
def test_what_is_published_generates_the_originals_images(
    name: str, tmp_path: Path, pipeline_folder_of: FolderOf
) -> None:
    import torch

    command = ROWS[name](Writer(tmp_path, pipeline_folder_of))
    loaded = _read(command, pipeline_folder_of)
    images = _images(loaded.pipeline("cpu", "float32"))
    torch.testing.assert_close(images, _images(command.expected), rtol=0, atol=1e-5)
    assert command.said in loaded.recognised[-1]
    if command.overlay is not None:
        base = read("base", pipeline_folder_of(command.base))
        assert loaded.fingerprint != base.fingerprint
        assert (images - _images(base.pipeline("cpu", "float32"))).abs().max() > 1e-3
        assert command.overlay.name in loaded.recognised[-1]
        assert "tensors" in loaded.recognised[-1]


def _read(command: Command, folder_of: FolderOf) -> Checkpoint:
    model = folder_of(command.base) if command.model is None else command.model
    overlays = [Given(command.overlay, mode=command.mode)] if command.overlay is not None else []
    return read(
        str(model), model, overlays=overlays, config=command.config, allow_pickle=command.pickle
    )


def _images(pipeline: Any) -> Any:
    import torch

    options = {
        "num_inference_steps": 2,
        "height": backbones.SIDE,
        "width": backbones.SIDE,
        "output_type": "np",
    }
    with prompt_scaled.scaled(getattr(pipeline, "unet", None)):
        return torch.from_numpy(
            pipeline("a red heart", generator=torch.Generator().manual_seed(3), **options).images
        )


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in ROWS
        if "single" in name or name in {"the same in shards", "the same with `.bin` weights"}
    ],
)
def test_one_model_has_one_fingerprint_in_every_format(
    name: str, tmp_path: Path, pipeline_folder_of: FolderOf
) -> None:
    command = ROWS[name](Writer(tmp_path, pipeline_folder_of))
    command.expected.save_pretrained(tmp_path / "folder")
    assert (
        _read(command, pipeline_folder_of).fingerprint
        == read("folder", tmp_path / "folder").fingerprint
    )


def test_the_documents_rows_and_the_tests_are_the_same() -> None:
    text = DOCUMENT.read_text(encoding="utf-8").split("## Kinds of adapters")[0]
    named = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("|")]
    rows = [name for name in named if name not in {"---", "format", "method"}]
    # A hub id needs a hub, which hub/test_hub.py starts.
    assert sorted(rows) == sorted([*ROWS, "hub id"])
