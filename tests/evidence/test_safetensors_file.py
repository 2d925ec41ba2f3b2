"""Safetensors files: read as safetensors reads them, refused before they cost anything."""

import json
import resource
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from spqr_tests.evidence import safetensors_file
from spqr_tests.evidence.errors import InputError

Tensors = dict[str, np.ndarray[Any, Any]]
_BOUND = 16 * 2**20


def _tensors() -> Tensors:
    rng = np.random.default_rng(0)
    return {
        "unet.b": rng.standard_normal((3, 5)).astype(np.float32),
        "unet.a": rng.standard_normal(7).astype(np.float16),
        "scalar": np.array(3, dtype=np.int64),
        "nothing": np.zeros((0, 4), dtype=np.float32),
        "ünicode": np.array([True, False]),
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "some.safetensors"
    save_file(_tensors(), path, metadata={"format": "pt"})
    return path


def _write(path: Path, header: Any, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def test_entries_are_what_safetensors_itself_says(file: Path) -> None:
    found = safetensors_file.entries(file)
    assert [entry.name for entry in found] == sorted(_tensors())
    raw = file.read_bytes()
    with safe_open(file, "np") as theirs:
        assert set(theirs.keys()) == {entry.name for entry in found}
        for entry in found:
            piece = theirs.get_slice(entry.name)
            assert entry.dtype == piece.get_dtype()
            assert list(entry.shape) == piece.get_shape()
            assert raw[entry.begin : entry.end] == theirs.get_tensor(entry.name).tobytes()


def test_digests_name_every_tensor(file: Path) -> None:
    assert [name for name, _ in safetensors_file.digests(file)] == sorted(_tensors())


def test_digests_depend_on_the_content_and_not_on_the_file(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file(dict(reversed(_tensors().items())), other, metadata={"saved": "later"})
    assert file.read_bytes() != other.read_bytes()
    assert dict(safetensors_file.digests(file)) == dict(safetensors_file.digests(other))


def _one_element(tensors: Tensors) -> None:
    tensors["unet.b"][1, 2] = np.nextafter(tensors["unet.b"][1, 2], np.float32(9))


def _reshape(tensors: Tensors) -> None:
    tensors["unet.b"] = tensors["unet.b"].reshape(5, 3)


def _dtype(tensors: Tensors) -> None:
    tensors["unet.b"] = tensors["unet.b"].view(np.int32)


@pytest.mark.parametrize("change", [_one_element, _reshape, _dtype])
def test_a_digest_changes_with_one_element_the_shape_or_the_dtype(file: Path, change: Callable[[Tensors], None]) -> None:
    before = dict(safetensors_file.digests(file))
    tensors = _tensors()
    change(tensors)
    save_file(tensors, file)
    after = dict(safetensors_file.digests(file))
    assert {name for name in before if before[name] != after[name]} == {"unet.b"}


def test_a_tensor_larger_than_a_block_is_digested_to_its_last_byte(tmp_path: Path) -> None:
    tensor = np.zeros(2**22 + 1, dtype=np.uint8)
    digests = []
    for last in (0, 1):
        tensor[-1] = last
        save_file({"large": tensor}, tmp_path / "large.safetensors")
        digests += safetensors_file.digests(tmp_path / "large.safetensors")
    assert digests[0] != digests[1]


@pytest.mark.parametrize("length", range(8))
def test_a_file_without_room_for_a_header_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "short.safetensors"
    path.write_bytes(b"\x01" * length)
    with pytest.raises(InputError, match=r"short\.safetensors is not a safetensors file that can be read"):
        safetensors_file.entries(path)


def test_a_truncated_file_is_refused_wherever_it_ends(file: Path) -> None:
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"some\.safetensors is (cut short|not a safetensors file)"):
            safetensors_file.entries(file)


@pytest.mark.parametrize("claimed", [2**14, _BOUND + 1, 2**40, 2**63, 2**64 - 1])
def test_a_header_that_claims_more_than_the_file_is_refused(tmp_path: Path, claimed: int) -> None:
    path = tmp_path / "claims.safetensors"
    path.write_bytes(struct.pack("<Q", claimed) + b"{}" * 100)
    with pytest.raises(InputError, match=f"its header claims {claimed} bytes of 208 "):
        safetensors_file.entries(path)


def test_a_huge_header_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.safetensors"
    size = 2**30
    with path.open("wb") as sparse:
        sparse.write(struct.pack("<Q", size))
        sparse.truncate(8 + size)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    with pytest.raises(InputError, match=rf"its header claims {size} bytes .*\(at most {_BOUND} are accepted\)"):
        safetensors_file.entries(path)
    assert time.perf_counter() - start < 0.5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 2**15  # KiB


def _entry(begin: Any, end: Any, shape: Any = (1,), dtype: Any = "F32") -> dict[str, Any]:
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}}


@pytest.mark.parametrize(("begin", "end"), [(0, 9), (8, 12), (-4, 0), (4, 0), (2**70, 2**70 + 4)])
def test_offsets_beyond_the_file_are_refused(tmp_path: Path, begin: int, end: int) -> None:
    path = _write(tmp_path / "beyond.safetensors", _entry(begin, end), bytes(8))
    with pytest.raises(InputError, match=r"beyond\.safetensors is cut short: its header names bytes beyond"):
        safetensors_file.entries(path)


@pytest.mark.parametrize(
    "header",
    [
        b"garbage",
        b"\xff\xfe{}",
        b"[" * 100_000,
        [1],
        3,
        "text",
        {"a": 1},
        {"a": {}},
        {"a": {"dtype": "F32", "shape": [1]}},
        _entry("0", "4"),
        _entry(0.0, 4.0),
        _entry(None, 4),
        _entry(0, float("nan")),
        _entry(0, 4, shape=3),
        _entry(0, 4, shape="1"),
        _entry(0, 4, shape=[1.5]),
        _entry(0, 4, dtype=["F32"]),
    ],
    ids=lambda header: str(header)[:40],
)
def test_a_header_that_is_no_table_of_tensors_is_refused(tmp_path: Path, header: Any) -> None:
    path = _write(tmp_path / "odd.safetensors", header, bytes(8))
    with pytest.raises(InputError, match=r"odd\.safetensors is not a safetensors file: its header cannot be parsed\."):
        safetensors_file.entries(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.safetensors cannot be read \(No such file"):
        safetensors_file.entries(tmp_path / "gone.safetensors")
