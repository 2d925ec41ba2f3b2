"""Safetensors files: read as their library reads them; bad ones are refused at little cost."""

import json
import resource
import struct
import tracemalloc
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from spqr_tests.checkpoint.formats.safetensors_file import ITEMSIZE, SafetensorsFile
from spqr_tests.checkpoint.formats.tensor import ModelTensor
from spqr_tests.errors import InputError
from tests.seconds import at_once

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


def _digests(path: Path) -> dict[str, str]:
    file = SafetensorsFile(path)
    return {
        name: ModelTensor(file, stored, stored.shape).digest()
        for name, stored in file.tensors.items()
    }


def test_tensors_are_what_safetensors_itself_says(file: Path) -> None:
    ours = SafetensorsFile(file)
    assert ours.path == file
    assert list(ours.tensors) == sorted(_tensors())
    assert ours.metadata == {"format": "pt"}
    with safe_open(file, "np") as theirs:
        assert set(theirs.keys()) == set(ours.tensors)
        for name, stored in ours.tensors.items():
            piece = theirs.get_slice(name)
            assert (stored.name, stored.dtype, list(stored.shape)) == (
                name,
                piece.get_dtype(),
                piece.get_shape(),
            )
            expected = theirs.get_tensor(name)
            assert b"".join(ours.blocks(name, 0, expected.nbytes)) == expected.tobytes()
            np.testing.assert_array_equal(ours.tensor(name).numpy(), expected, strict=True)


def test_a_part_of_a_tensor_is_read_alone(file: Path) -> None:
    ours = SafetensorsFile(file)
    whole = _tensors()["unet.b"].tobytes()
    assert b"".join(ours.blocks("unet.b", 20, 44)) == whole[20:44]
    for begin, end in ((-4, 8), (8, 4), (0, 61)):
        with pytest.raises(ValueError, match="has no bytes"):
            list(ours.blocks("unet.b", begin, end))


def test_blocks_are_bounded(tmp_path: Path) -> None:
    save_file({"large": np.zeros(2**23 + 1, dtype=np.uint8)}, tmp_path / "large.safetensors")
    assert [
        len(block)
        for block in SafetensorsFile(tmp_path / "large.safetensors").blocks("large", 1, 2**23 + 1)
    ] == [2**22] * 2


@pytest.mark.parametrize("dtype", ITEMSIZE)
def test_each_dtype_is_read_as_torch_reads_it(tmp_path: Path, dtype: str) -> None:
    header = {"a": {"dtype": dtype, "shape": [3], "data_offsets": [0, 3 * ITEMSIZE[dtype]]}}
    tensor = SafetensorsFile(
        _write(tmp_path / "a.safetensors", header, bytes(3 * ITEMSIZE[dtype]))
    ).tensor("a")
    assert tensor.shape == (3,)
    assert tensor.element_size() == ITEMSIZE[dtype]
    assert not tensor.to(dtype=torch.complex64).any()


def test_digests_depend_on_the_content_and_not_on_the_file(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file(dict(reversed(_tensors().items())), other, metadata={"saved": "later"})
    assert file.read_bytes() != other.read_bytes()
    assert _digests(file) == _digests(other)


def _one_element(tensors: Tensors) -> None:
    tensors["unet.b"][1, 2] = np.nextafter(tensors["unet.b"][1, 2], np.float32(9))


def _reshape(tensors: Tensors) -> None:
    tensors["unet.b"] = tensors["unet.b"].reshape(5, 3)


def _dtype(tensors: Tensors) -> None:
    tensors["unet.b"] = tensors["unet.b"].view(np.int32)


@pytest.mark.parametrize("change", [_one_element, _reshape, _dtype])
def test_a_digest_changes_with_one_element_the_shape_or_the_dtype(
    file: Path, change: Callable[[Tensors], None]
) -> None:
    before = _digests(file)
    tensors = _tensors()
    change(tensors)
    save_file(tensors, file)
    after = _digests(file)
    assert {name for name in before if before[name] != after[name]} == {"unet.b"}


def test_a_tensor_larger_than_a_block_is_digested_to_its_last_byte(tmp_path: Path) -> None:
    tensor = np.zeros(2**22 + 1, dtype=np.uint8)
    digests = []
    for last in (0, 1):
        tensor[-1] = last
        save_file({"large": tensor}, tmp_path / "large.safetensors")
        digests.append(_digests(tmp_path / "large.safetensors"))
    assert digests[0] != digests[1]


@pytest.mark.parametrize("length", range(8))
def test_a_file_without_room_for_a_header_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "short.safetensors"
    path.write_bytes(b"\x01" * length)
    with pytest.raises(
        InputError, match=r"short\.safetensors is not a safetensors file that can be read"
    ):
        SafetensorsFile(path)


def test_a_truncated_file_is_refused_wherever_it_ends(file: Path) -> None:
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(
            InputError, match=r"some\.safetensors is (cut short|not a safetensors file)"
        ):
            SafetensorsFile(file)


@pytest.mark.parametrize("claimed", [2**14, _BOUND + 1, 2**40, 2**63, 2**64 - 1])
def test_a_header_that_claims_more_than_the_file_is_refused(tmp_path: Path, claimed: int) -> None:
    path = tmp_path / "claims.safetensors"
    path.write_bytes(struct.pack("<Q", claimed) + b"{}" * 100)
    with pytest.raises(InputError, match=f"its header claims {claimed} bytes of 208 "):
        SafetensorsFile(path)


def test_a_huge_header_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.safetensors"
    size = 2**30
    with path.open("wb") as sparse:
        sparse.write(struct.pack("<Q", size))
        sparse.truncate(8 + size)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sentence = rf"its header claims {size} bytes .*\(at most {_BOUND} are accepted\)"
    with at_once(0.5), pytest.raises(InputError, match=sentence):
        SafetensorsFile(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 2**15  # KiB


def _entry(begin: Any, end: Any, shape: Any = (1,), dtype: Any = "F32") -> dict[str, Any]:
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}}


@pytest.mark.parametrize(("begin", "end"), [(0, 9), (8, 12), (2**70, 2**70 + 4)])
def test_offsets_beyond_the_file_are_refused(tmp_path: Path, begin: int, end: int) -> None:
    path = _write(tmp_path / "beyond.safetensors", _entry(begin, end), bytes(8))
    with pytest.raises(
        InputError, match=r"beyond\.safetensors is cut short: its header names bytes beyond"
    ):
        SafetensorsFile(path)


def _two(first: tuple[int, int], second: tuple[int, int]) -> dict[str, Any]:
    return _entry(*first) | {"b": _entry(*second)["a"]}


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        (_entry(-4, 0), r"its header puts a at bytes"),
        (_entry(4, 0), r"its header puts a at bytes"),
        (_entry(0, 8), r"a is F32 of the shape \[1\], but has 8 bytes"),
        (_entry(0, 8, shape=[1, 1]), r"a is F32 of the shape \[1, 1\], but has 8 bytes"),
        (_entry(0, 8, shape=[-1, -2]), r"a is F32 of the shape \[-1, -2\], but has 8 bytes"),
        (_entry(0, 0, shape=[0, 2**62]), r"but has 0 bytes"),
        (_entry(0, 8, shape=[2**40] * 200), r"but has 8 bytes"),
        (
            _two((0, 4), (0, 4)),
            (
                r"the bytes of b begin at \d+, but those before them end at \d+; each byte must"
                r" belong to one tensor"
            ),
        ),
        (_entry(4, 8), r"the bytes of a begin at"),
        (_two((0, 4), (4, 8)) | {"c": _entry(2, 6)["a"]}, r"the bytes of c begin at"),
        (_entry(0, 4), r"4 bytes at its end belong to no tensor"),
        ({}, r"8 bytes at its end belong to no tensor"),
    ],
)
def test_bytes_that_belong_to_no_tensor_or_to_two_are_refused(
    tmp_path: Path, header: Any, sentence: str
) -> None:
    path = _write(tmp_path / "odd.safetensors", header, bytes(8))
    with pytest.raises(InputError, match=rf"odd\.safetensors is damaged: .*{sentence}"):
        SafetensorsFile(path)


@pytest.mark.parametrize("dtype", ["", "F128", "f32", "F4", "PICKLE"])
def test_a_dtype_that_is_not_known_is_refused(tmp_path: Path, dtype: str) -> None:
    path = _write(tmp_path / "odd.safetensors", _entry(0, 4, dtype=dtype), bytes(4))
    with pytest.raises(
        InputError, match=f"the tensor a has the dtype {dtype}, which is not among BOOL, U8"
    ):
        SafetensorsFile(path)


def test_a_million_empty_tensors_are_refused_in_little_memory(tmp_path: Path) -> None:
    entries = (
        f'"{number}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'
        for number in range(1_000_000)
    )
    path = _write(tmp_path / "many.safetensors", f"{{{','.join(entries)}}}".encode())
    tracemalloc.start()
    with pytest.raises(InputError, match=r"its header claims \d+ bytes"):
        SafetensorsFile(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_a_file_that_shrinks_while_it_is_read_is_refused(file: Path) -> None:
    ours = SafetensorsFile(file)
    file.write_bytes(file.read_bytes()[:-64])
    with pytest.raises(
        InputError, match=r"some\.safetensors was cut short while it was read: .* lacks \d+ bytes"
    ):
        [
            list(ours.blocks(name, 0, prod(stored.shape) * ITEMSIZE[stored.dtype]))
            for name, stored in ours.tensors.items()
        ]


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
        (
            b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "a": {"dtype": "F32",'
            b' "shape": [1], "data_offsets": [4, 8]}}'
        ),
        {"__metadata__": {"a": 1}},
        {"__metadata__": ["a"]},
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
def test_a_header_that_is_not_a_table_of_tensors_is_refused(tmp_path: Path, header: Any) -> None:
    path = _write(tmp_path / "odd.safetensors", header, bytes(8))
    with pytest.raises(
        InputError,
        match=r"odd\.safetensors is not a safetensors file: its header cannot be parsed\.",
    ):
        SafetensorsFile(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.safetensors cannot be read \(No such file"):
        SafetensorsFile(tmp_path / "gone.safetensors")
