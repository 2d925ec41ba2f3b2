"""Ready adapters: read by name and path, and the same model as a checkpoint with an overlay."""

from pathlib import Path

import pytest

from spqr_fixtures.embedded import weights
from spqr_tests.checkpoint import adapter
from spqr_tests.checkpoint.checkpoint import Checkpoint, read
from spqr_tests.checkpoint.strengths import Given
from spqr_tests.errors import InputError
from tests.tiny.adapters import lora


@pytest.fixture(scope="module")
def embedded() -> Checkpoint:
    return read("embedded:base", weights.base_folder())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds two LoRAs and a text file."""
    found = tmp_path_factory.mktemp("adapters")
    lora(found / "mine", 0.5)
    lora(found / "faint", 0.01)
    (found / "notes.txt").write_text("a rank of 2")
    return found


def test_an_adapter_and_an_overlay_are_one_model(embedded: Checkpoint, folder: Path) -> None:
    found = adapter.read(embedded, "mine=mine", folder, allow_pickle=False)
    overlaid = read("embedded:base", weights.base_folder(), overlays=[folder / "mine"])
    assert found.fingerprint == overlaid.fingerprint != embedded.fingerprint
    assert found.name == "mine"
    assert "of the unet's 286 tensors get a low-rank update" in found.recognised
    assert found.checkpoint.target == "embedded:base"
    assert found.checkpoint.recognised == (*embedded.recognised, f"mine: {found.recognised}")


def test_several_with_strengths_are_overlays_in_their_order(
    embedded: Checkpoint, folder: Path
) -> None:
    found = adapter.read(embedded, "mine=mine@0.5,faint@-2", folder, allow_pickle=False)
    given = [Given(folder / "mine", 0.5), Given(folder / "faint", -2.0)]
    overlaid = read("embedded:base", weights.base_folder(), overlays=given)
    assert found.fingerprint == overlaid.fingerprint
    assert " at strength 0.5, in " in found.recognised.split("; ")[0]
    assert " at strength -2, in " in found.recognised.split("; ")[1]
    one = adapter.read(embedded, "mine=mine@1", folder, allow_pickle=False)
    assert (
        one.fingerprint == adapter.read(embedded, "m=mine", folder, allow_pickle=False).fingerprint
    )


def test_a_fingerprint_that_is_known_is_not_computed(embedded: Checkpoint, folder: Path) -> None:
    assert (
        adapter.read(embedded, "mine=mine", folder, allow_pickle=False, known="f" * 64).fingerprint
        == "f" * 64
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("mine", "expected NAME=PATH"),
        ("mine=", "expected NAME=PATH"),
        ("=mine", "the name '' must consist of lower-case letters, digits and underscores"),
        ("Mine=mine", "the name 'Mine' must consist of lower-case letters"),
        ("my-lora=mine", "the name 'my-lora' must consist of lower-case letters"),
        ("mine=none", "none: there is no such file or folder"),
        ("mine=notes.txt", "notes.txt"),
        ("mine=mine@strong", "'strong' after the last @ is not a number"),
        ("mine=mine@11", "the strength 11 is not between"),
        ("mine=mine,none", "there is no file or folder 'none'"),
        ("mine=.", "is not an overlay: expected a folder with config.json"),
    ],
)
def test_an_adapter_that_cannot_be_used(
    embedded: Checkpoint, folder: Path, given: str, said: str
) -> None:
    with pytest.raises(InputError) as refused:
        adapter.read(embedded, given, folder, allow_pickle=False)
    assert str(refused.value).startswith(f"--spqr-adapter {given}")
    assert said in str(refused.value)
    assert "--spqr-overlay" not in str(refused.value)


def test_a_path_may_hold_an_equals_sign(embedded: Checkpoint, folder: Path) -> None:
    (folder / "rank=2").symlink_to(folder / "mine")
    assert adapter.read(embedded, "mine=rank=2", folder, allow_pickle=False).name == "mine"
