"""What is measured is what was named: files that are replaced after set-up are found."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from spqr_tests.checkpoint import adapter
from spqr_tests.checkpoint.checkpoint import Checkpoint, read
from spqr_tests.errors import InputError
from tests.tiny import edit_json, edit_tensors

UNET = "unet/diffusion_pytorch_model.safetensors"
SAID = "(was|were) replaced after the run began"


@pytest.fixture
def folder(base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(base, tmp_path / "model"))


def _edit(tensors: "dict[str, object]") -> None:
    next(iter(tensors.values())).add_(1)  # type: ignore[attr-defined]


def _replace(path: Path) -> None:
    """A new file in the place of one, as downloads and trainers leave it."""
    other = path.with_name("new")
    other.write_bytes(path.read_bytes())
    edit_tensors(other, _edit)
    other.replace(path)


REPLACED: dict[str, Callable[[Path], None]] = {
    "the denoiser, in its place": lambda folder: edit_tensors(folder / UNET, _edit),
    "the denoiser": lambda folder: _replace(folder / UNET),
    "the text encoder": lambda folder: _replace(folder / "text_encoder/model.safetensors"),
    "the autoencoder": lambda folder: _replace(folder / "vae/diffusion_pytorch_model.safetensors"),
}


@pytest.mark.parametrize("replace", REPLACED.values(), ids=REPLACED)
def test_the_process_that_took_the_fingerprint_finds_it(
    folder: Path, replace: Callable[[Path], None]
) -> None:
    checkpoint = read("model", folder)
    known = checkpoint.fingerprint
    replace(folder)
    with pytest.raises(InputError, match=SAID):
        checkpoint.pipeline("cpu", "float32", known)


CHANGED: dict[str, Callable[[Path], None]] = REPLACED | {
    "the scheduler's config": lambda folder: edit_json(
        folder / "scheduler/scheduler_config.json", lambda table: table.update(beta_end=0.5)
    ),
    "a config": lambda folder: edit_json(
        folder / "unet/config.json", lambda table: table.update(norm_eps=0.5)
    ),
    "a tokenizer": lambda folder: edit_json(
        folder / "tokenizer/tokenizer_config.json", lambda table: table.update(model_max_length=9)
    ),
}


@pytest.mark.parametrize("replace", CHANGED.values(), ids=CHANGED)
def test_a_worker_that_starts_later_finds_it(folder: Path, replace: Callable[[Path], None]) -> None:
    known = read("model", folder).fingerprint
    replace(folder)
    with pytest.raises(InputError, match="files were replaced after the run began"):
        read("model", folder).pipeline("cpu", "float32", known)


@pytest.mark.parametrize("worker", [False, True], ids=["same process", "worker"])
def test_an_overlay_and_an_adapter_that_are_replaced_are_found(
    base: Path, folder: Path, tmp_path: Path, *, worker: bool
) -> None:
    path = tmp_path / "unet.safetensors"
    shutil.copy(folder / UNET, path)
    edit_tensors(path, _edit)

    def made() -> tuple[Checkpoint, Checkpoint]:
        over = read("base", base, overlays=[path])
        given = adapter.read(read("base", base), f"mine={path}", tmp_path, allow_pickle=False)
        return over, given.checkpoint

    before = made()
    known = [one.fingerprint for one in before]
    assert known[0] == known[1]
    _replace(path)
    for one in made() if worker else before:
        with pytest.raises(InputError, match=SAID):
            one.pipeline("cpu", "float32", known[0])


def test_what_was_not_replaced_is_loaded(folder: Path) -> None:
    known = read("model", folder).fingerprint
    (folder / UNET).touch()
    loaded = read("model", folder).pipeline("cpu", "float32", known)
    assert loaded.unet is not None
