"""Shards: read as one file, or refused with the reason."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from spqr_tests.checkpoint.formats.shards import Shards
from spqr_tests.errors import InputError

A, B = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def _index(folder: Path, weight_map: Any) -> Path:
    path = folder / "model.safetensors.index.json"
    path.write_text(
        json.dumps({"metadata": {"total_size": 20}, "weight_map": weight_map}), encoding="utf-8"
    )
    return path


@pytest.fixture
def index(tmp_path: Path) -> Path:
    folder = tmp_path / "component"
    folder.mkdir()
    save_file({"a": torch.arange(2.0), "c": torch.arange(3.0)}, folder / A)
    save_file({"b": torch.arange(5, dtype=torch.int16)}, folder / B)
    return _index(folder, {"a": A, "b": B, "c": A})


def _read(index: Path) -> Shards:
    return Shards(index, index.parent, allow_pickle=False)


def test_the_tensors_are_those_of_all_shards(index: Path) -> None:
    shards = _read(index)
    assert shards.path == index
    assert list(shards.tensors) == ["a", "b", "c"]
    assert shards.tensors["b"].dtype == "I16"
    assert torch.equal(shards.tensor("c"), torch.arange(3.0))
    assert (
        b"".join(shards.blocks("b", 2, 6))
        == torch.arange(5, dtype=torch.int16).numpy().tobytes()[2:6]
    )


def test_pickled_shards_need_permission(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(3)}, tmp_path / "pytorch_model-00001-of-00001.bin")
    index = _index(tmp_path, {"a": "pytorch_model-00001-of-00001.bin"})
    assert Shards(index, tmp_path, allow_pickle=True).tensors["a"].shape == (3,)
    with pytest.raises(InputError, match=r"00001\.bin is a pickle, .* pass --spqr-allow-pickle"):
        Shards(index, tmp_path, allow_pickle=False)


@pytest.mark.parametrize(
    "name",
    [
        "../secret.safetensors",
        "/etc/passwd",
        "sub/a.safetensors",
        "..",
        ".",
        "",
        "..\\a",
        3,
        None,
        ["a"],
    ],
)
def test_a_name_that_is_not_plain_is_refused(index: Path, name: Any) -> None:
    save_file({"a": torch.zeros(1)}, index.parent.parent / "secret.safetensors")
    _index(index.parent, {"a": name})
    with pytest.raises(
        InputError,
        match=r"index\.json names the file .*; expected the plain name of a file next to it",
    ):
        _read(index)


def _unlink(index: Path) -> None:
    (index.parent / B).unlink()


def _lead_out(index: Path) -> None:
    outside = index.parent.parent / "outside.safetensors"
    (index.parent / B).rename(outside)
    (index.parent / B).symlink_to(outside)


def _lead_nowhere(index: Path) -> None:
    (index.parent / B).unlink()
    (index.parent / B).symlink_to("gone")


def _lead_to_itself(index: Path) -> None:
    (index.parent / B).unlink()
    (index.parent / B).symlink_to(B)


def _pipe(index: Path) -> None:
    (index.parent / B).unlink()
    os.mkfifo(index.parent / B)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (_unlink, f"names {B}, which is not next to it; all shards of a set are needed"),
        (_pipe, f"names {B}, which is not next to it"),
        (_lead_out, r"is a link to .*outside\.safetensors, outside of"),
        (_lead_nowhere, "is a link to nothing"),
        (_lead_to_itself, "is a link to nothing"),
        (
            lambda index: _index(index.parent, {"a": A, "b": B}),
            f"{A} also holds 1 tensors, 'c' first",
        ),
        (
            lambda index: _index(index.parent, {"a": A, "b": B, "c": A, "d": B}),
            f"{B} lacks 1 tensors, 'd' first",
        ),
        (lambda index: _index(index.parent, {"a": A, "b": B, "c": B}), "does not fit its shards"),
        (
            lambda index: save_file({"a": torch.zeros(1)}, index.parent / B),
            f"{B} lacks 1 tensors, 'b' first",
        ),
        (lambda index: _index(index.parent, {}), "has no weight_map"),
        (lambda index: _index(index.parent, [A, B]), "has no weight_map"),
        (lambda index: index.write_text("{}"), "has no weight_map"),
        (lambda index: index.write_text("{"), "is not JSON"),
        (lambda index: os.truncate(index.parent / A, 60), "is (cut short|not a safetensors file)"),
    ],
)
def test_a_set_that_is_not_whole_is_refused(
    index: Path, damage: Callable[[Path], object], sentence: str
) -> None:
    _read(index)
    damage(index)
    with pytest.raises(InputError, match=sentence):
        _read(index)


def test_a_link_inside_the_root_is_followed(index: Path) -> None:
    _lead_out(index)
    assert Shards(index, index.parent.parent, allow_pickle=False).tensors.keys() == {"a", "b", "c"}
