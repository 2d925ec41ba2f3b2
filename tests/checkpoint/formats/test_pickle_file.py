"""Pickles: the same tensors as in a safetensors file, and no code of theirs is executed."""

import io
import os
import pickle
import resource
import struct
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from spqr_tests.checkpoint.formats.pickle_file import PickleFile
from spqr_tests.checkpoint.formats.safetensors_file import SafetensorsFile
from spqr_tests.checkpoint.formats.tensor import ModelTensor, TensorFile
from spqr_tests.checkpoint.formats.tensor_files import open_file
from spqr_tests.errors import InputError

Tensors = dict[str, torch.Tensor]


def _tensors() -> Tensors:
    torch.manual_seed(0)
    return {
        "matrix": torch.randn(5, 4),
        "transposed": torch.randn(6, 3).T,
        "half": torch.randn(7).half(),
        "brain": torch.randn(7).bfloat16(),
        "scalar": torch.tensor(3),
        "flags": torch.tensor([True, False]),
        "nothing": torch.zeros(0, 4),
        "trained": torch.nn.Parameter(torch.randn(3)),
        "a view": torch.arange(20.0)[4:9],
    }


def _digests(file: TensorFile) -> dict[str, str]:
    return {
        name: ModelTensor(file, stored, stored.shape).digest()
        for name, stored in file.tensors.items()
    }


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    def save(value: Any, *, zipped: bool = True) -> Path:
        path = tmp_path / "some.ckpt"
        torch.save(value, path, _use_new_zipfile_serialization=zipped)
        return path

    return save


Save = Callable[..., Path]


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda tensors: tensors,
        lambda tensors: OrderedDict(tensors) | {"epoch": 3, "loss": 0.5, "name": "x", "none": None},
        lambda tensors: {
            "state_dict": tensors,
            "global_step": 3,
            "optimizer_states": [{"a": torch.zeros(2)}],
            "callbacks": {},
        },
        lambda tensors: {
            "model": tensors,
            "optimizer": {"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": []},
        },
        lambda tensors: {"unet": tensors},
        lambda tensors: {"model": {"state_dict": tensors}},
        lambda tensors: {"state_dict": tensors, "ema": {"a": torch.zeros(2)}},
    ],
    ids=[
        "alone",
        "with a trainer's values",
        "lightning",
        "with an optimizer",
        "named",
        "twice wrapped",
        "with averages",
    ],
)
def test_tensors_are_those_of_a_safetensors_file(
    tmp_path: Path, save: Save, wrap: Callable[[Tensors], Any], *, zipped: bool
) -> None:
    tensors = _tensors()
    save_file(
        {name: tensor.detach().contiguous() for name, tensor in tensors.items()},
        tmp_path / "some.safetensors",
    )
    theirs = SafetensorsFile(tmp_path / "some.safetensors")
    ours = PickleFile(save(wrap(tensors), zipped=zipped))
    assert dict(ours.tensors) == dict(theirs.tensors)
    assert _digests(ours) == _digests(theirs)
    for name in tensors:
        assert torch.equal(ours.tensor(name), theirs.tensor(name))
        assert not ours.tensor(name).requires_grad


def test_a_part_of_a_tensor_is_read_alone(save: Save) -> None:
    ours = PickleFile(save(_tensors()))
    whole = _tensors()["transposed"].contiguous().numpy().tobytes()
    assert b"".join(ours.blocks("transposed", 8, 44)) == whole[8:44]
    with pytest.raises(ValueError, match="has no bytes"):
        list(ours.blocks("transposed", 0, 73))


def test_blocks_are_bounded(save: Save) -> None:
    ours = PickleFile(save({"large": torch.zeros(2**23 + 1, dtype=torch.uint8)}))
    assert [len(block) for block in ours.blocks("large", 1, 2**23 + 1)] == [2**22] * 2


class _Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.canary),)


def _zipped(path: Path, value: Any) -> None:
    torch.save(value, path)


def _legacy(path: Path, value: Any) -> None:
    torch.save(value, path, _use_new_zipfile_serialization=False)


def _plain(path: Path, value: Any) -> None:
    path.write_bytes(pickle.dumps(value, protocol=2))


@pytest.mark.parametrize("write", [_zipped, _legacy, _plain])
@pytest.mark.parametrize("name", ["trap.ckpt", "trap.bin", "trap.safetensors"])
@pytest.mark.parametrize("allowed", [True, False])
def test_nothing_in_a_pickle_is_executed(
    tmp_path: Path, write: Callable[[Path, Any], None], name: str, *, allowed: bool
) -> None:
    path, canary = tmp_path / name, tmp_path / "canary"
    write(path, {"a": _Trap(canary), "b": torch.zeros(2)})
    if name.endswith("safetensors"):
        sentence = "is a pickle with the name of a safetensors file"
    elif allowed:
        sentence = (
            r"names posix\.mkdir, which is neither a tensor nor a plain value\. .* nothing in it"
            r" was"
            r" executed"
        )
    else:
        sentence = (
            "is a pickle, .* If you trust the file's source, pass --spqr-allow-pickle to read it"
            " with weights_only"
        )
    if write is _plain and allowed:
        sentence = f"{sentence}|is not a file of tensors that torch can read without executing it"
    with pytest.raises(InputError, match=sentence):
        open_file(path, allow_pickle=allowed)
    assert not canary.exists()
    if write is _plain:
        pickle.loads(path.read_bytes())
        assert canary.exists(), "the trap works"


def test_a_class_of_a_trainers_bookkeeping_is_accepted(
    save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "pytorch_lightning.callbacks.model_checkpoint"
    module = ModuleType(name)
    module.ModelCheckpoint = type("ModelCheckpoint", (), {"__module__": name})  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        for parent in ("pytorch_lightning", "pytorch_lightning.callbacks"):
            patch.setitem(sys.modules, parent, ModuleType(parent))
        patch.setitem(sys.modules, name, module)
        path = save({"state_dict": _tensors(), "callbacks": {module.ModelCheckpoint: {"best": 3}}})
    assert PickleFile(path).tensors.keys() == _tensors().keys()


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (torch.zeros(3), "holds a Tensor, not a table of tensors"),
        ([torch.zeros(3)], "holds a list, not a table of tensors"),
        ({}, "holds no tensor"),
        ({"a": 1}, "holds no tensor"),
        ({"state_dict": {}}, "holds no tensor"),
        (
            {"model": {"model": {"model": {"model": {"a": torch.zeros(1)}}}}},
            "holds no table of tensors, only tables of tables",
        ),
        (
            {"model": {"a": torch.zeros(1)}, "ema": {"a": torch.zeros(1)}},
            r"holds 2 tables of tensors \('model', 'ema'\)",
        ),
        ({"a": torch.zeros(1), "b": {"c": torch.zeros(1)}}, "holds 'b', a dict, among its tensors"),
        ({3: torch.zeros(1)}, "holds 3, a Tensor, among its tensors"),
        ({"a": torch.eye(2).to_sparse()}, "a is not a plain tensor"),
        ({"a": torch.zeros(2, device="meta")}, "a is not a plain tensor"),
        ({"a": torch.ones(2, dtype=torch.complex64).conj()}, "a is not a plain tensor"),
        (
            {"a": torch.zeros(2, dtype=torch.complex128)},
            "the tensor a has the dtype complex128, which is not among",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_pickle_without_a_table_of_tensors_is_refused(
    save: Save, value: Any, sentence: str
) -> None:
    with pytest.raises(InputError, match=rf"some\.ckpt:? {sentence}"):
        PickleFile(save(value))


def _rewrite(
    path: Path,
    edit: Callable[[str, bytes], list[tuple[str, bytes]]],
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    """Write an archive again, with the entries that `edit` makes of each."""
    written = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(written, "w", compression) as other:
        for entry in archive.infolist():
            for name, content in edit(entry.filename, archive.read(entry)):
                other.writestr(name, content)
    path.write_bytes(written.getvalue())
    return path


def test_an_archive_written_anew_is_still_read(save: Save) -> None:
    assert PickleFile(_rewrite(save(_tensors()), lambda name, content: [(name, content)])).tensors


def test_a_packed_archive_is_refused_before_it_is_unpacked(save: Save) -> None:
    path = _rewrite(
        save({"a": torch.zeros(2**22)}),
        lambda name, content: [(name, content)],
        zipfile.ZIP_DEFLATED,
    )
    assert path.stat().st_size < 2**17
    with pytest.raises(InputError, match="its entries are compressed"):
        PickleFile(path)


def test_entries_that_claim_more_than_the_file_are_refused(save: Save) -> None:
    path = save({"a": torch.zeros(1000)})
    raw = bytearray(path.read_bytes())
    at = raw.rindex(b"PK\x01\x02", 0, raw.rindex(b"/data/0"))
    raw[at + 24 : at + 28] = struct.pack("<I", 2**31)
    path.write_bytes(raw)
    with pytest.raises(InputError, match="its entries claim more bytes than the"):
        PickleFile(path)


@pytest.mark.parametrize(
    "name", ["x/../../etc/data", "/data/0", "other/data/0", "x/data/evil.py", "x/data/../1"]
)
def test_an_entry_that_torch_does_not_write_is_refused(save: Save, name: str) -> None:
    path = _rewrite(
        save({"a": torch.zeros(2)}),
        lambda old, content: [(old, content), *([(name, b"1")] * old.endswith("pkl"))],
    )
    with pytest.raises(InputError, match=r"is not an archive that torch\.save writes: it holds '"):
        PickleFile(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_entry_that_is_there_twice_is_refused(save: Save) -> None:
    path = _rewrite(save({"a": torch.zeros(2)}), lambda old, content: [(old, content)] * 2)
    with pytest.raises(InputError, match=r"is not an archive that torch\.save writes"):
        PickleFile(path)


def test_a_pickle_of_a_size_that_no_state_dict_needs_is_refused(save: Save) -> None:
    path = _rewrite(
        save({"a": torch.zeros(2)}),
        lambda name, old: [(name, old + bytes(2**26) if name.endswith("pkl") else old)],
    )
    with pytest.raises(InputError, match=r"its data\.pkl is larger than"):
        PickleFile(path)


def test_a_directory_of_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "some.ckpt"
    size = 2**31
    with path.open("wb") as sparse:
        sparse.write(b"PK\x03\x04")
        sparse.seek(size)
        sparse.write(b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, size - 4, 4, 0))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="its archive's directory is larger than"):
        PickleFile(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 2**16  # KiB


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_strides_that_make_terabytes_of_four_bytes_are_refused(save: Save, *, zipped: bool) -> None:
    path = save({"a": torch.zeros(1).expand(2**20, 2**20)}, zipped=zipped)
    assert path.stat().st_size < 2**12
    with pytest.raises(
        InputError, match=r"a claims the shape \[1048576, 1048576\] but has 4 bytes in the file"
    ):
        PickleFile(path)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_shape_beyond_its_storage_is_refused(save: Save, *, zipped: bool) -> None:
    """The pickle claims 2^30 elements for a storage of four."""
    path = save({"a": torch.zeros(4)}, zipped=zipped)
    old, new = b"K\x04\x85", b"J" + struct.pack("<i", 2**30) + b"\x85"
    if zipped:
        _rewrite(
            path,
            lambda name, content: [
                (name, content.replace(old, new) if name.endswith("pkl") else content)
            ],
        )
    else:
        assert path.read_bytes().count(old) == 1
        path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(
        InputError,
        match=r"is not a file of tensors that torch can read|claims the shape|claim more bytes",
    ):
        PickleFile(path)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_file_that_was_cut_short_is_refused(save: Save, *, zipped: bool) -> None:
    path = save(_tensors(), zipped=zipped)
    whole = path.read_bytes()
    for length in range(8, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(
            InputError, match=r"some\.ckpt (is not a file of tensors|is damaged|names [\w.]+,)"
        ):
            PickleFile(path)


def test_a_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "program.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py", "version"):
            archive.writestr(f"program/{name}", b"1")
    with pytest.raises(
        InputError,
        match=r"program\.pt is a TorchScript program, not a table of tensors; save its state_dict",
    ):
        open_file(path, allow_pickle=True)


def test_a_file_is_what_it_holds_and_not_what_it_is_called(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(3)}, tmp_path / "some.ckpt")
    assert open_file(tmp_path / "some.ckpt", allow_pickle=False).tensors.keys() == {"a"}


def test_a_header_of_a_length_that_looks_like_a_pickle_is_read(tmp_path: Path) -> None:
    """640 in little-endian begins with the bytes of a pickle of protocol 2."""
    header = b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'.ljust(640)
    (tmp_path / "some.safetensors").write_bytes(struct.pack("<Q", 640) + header)
    assert open_file(tmp_path / "some.safetensors", allow_pickle=False).tensors.keys() == {"a"}


@pytest.mark.parametrize(
    "content", [b"", b"text", b"GGUF\x03\x00\x00\x00", b"\x89PNG\r\n\x1a\n", bytes(100)]
)
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "some.ckpt").write_bytes(content)
    with pytest.raises(InputError, match=r"some\.ckpt is not a safetensors file"):
        open_file(tmp_path / "some.ckpt", allow_pickle=True)


def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    for path in (tmp_path, tmp_path / "pipe.safetensors"):
        with pytest.raises(InputError, match="; expected a file"):
            open_file(path, allow_pickle=True)
    with pytest.raises(InputError, match=r"gone\.ckpt cannot be read \(No such file"):
        open_file(tmp_path / "gone.ckpt", allow_pickle=True)
