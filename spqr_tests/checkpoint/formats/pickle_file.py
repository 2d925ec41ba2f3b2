"""Reads a file of tensors that torch.save wrote without executing what it says.

torch's `weights_only` lets a pickle build only tensors and plain values, but does not limit their
size. This module refuses archives that unpack to more than their own size, and tensors that claim
more memory than the file has bytes.
"""

import pickle
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spqr_tests import files, quotes
from spqr_tests.checkpoint.formats import pickle_program
from spqr_tests.checkpoint.formats.tensor import StoredTensor, blocks_of
from spqr_tests.errors import InputError

if TYPE_CHECKING:
    import torch

_MAX_PICKLE = 64 * 2**20
_MAX_DIRECTORY = 16 * 2**20
_ENTRY = re.compile(r"[^/]+/(data\.pkl|data/\d+|version|byteorder|\.[\w./]+)")
_TORCHSCRIPT = re.compile(r"[^/]+/(constants\.pkl|code/.*)")
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")
_DTYPES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "uint16": "U16",
    "int16": "I16",
    "float16": "F16",
    "bfloat16": "BF16",
    "uint32": "U32",
    "int32": "I32",
    "float32": "F32",
    "uint64": "U64",
    "int64": "I64",
    "float64": "F64",
    "complex64": "C64",
}
# Classes that some trainers' files name in addition to the weights (Stable Diffusion 1 as
# published, for one); an empty class replaces them.
_BOOKKEEPING = (
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    "lightning.pytorch.callbacks.model_checkpoint.ModelCheckpoint",
)


class _Inert:
    """Replaces a class that a file names and nobody needs."""


class PickleFile:
    """The tensors of a .ckpt, .pt, .pth or .bin file.

    The file holds a table of tensors, alone or inside a trainer's checkpoint. `InputError` for
    anything else, and for a pickle that asks for more than tensors and plain values.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loaded = _table(path, _load(path))
        if not self._loaded:
            raise InputError(f"{path} holds no tensors.")
        _require_bounded(path, self._loaded)
        self._tensors = {
            name: _stored(path, name, self._loaded[name]) for name in sorted(self._loaded)
        }

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def tensors(self) -> Mapping[str, StoredTensor]:
        """The tensors that the file holds, sorted by name."""
        return self._tensors

    def blocks(self, name: str, begin: int, end: int) -> Iterator[bytes]:
        """The bytes `begin` to `end` of a tensor in row-major order, in blocks of at most 4 MiB."""
        yield from blocks_of(self.tensor(name), name, begin, end)

    def tensor(self, name: str) -> "torch.Tensor":
        """A tensor on the CPU, in the dtype it is stored in."""
        return self._loaded[name].detach().contiguous()


def _load(path: Path) -> Any:
    import torch

    files.start(path)
    try:
        with path.open("rb") as file:
            zipped = file.read(4) == b"PK\x03\x04"
        if zipped:
            _require_plain_archive(path)
        _require_plain(path, zipped=zipped)
        names: list[Any] = [(_Inert, name) for name in _BOOKKEEPING]
        with torch.serialization.safe_globals(names):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except InputError:
        raise
    except Exception as error:  # a damaged pickle raises any error of torch's or Python's
        found = _GLOBAL.search(str(error))
        if found and isinstance(error, pickle.UnpicklingError):
            said = pickle_program.neither(found.group(1))
        else:
            said = pickle_program.DAMAGED
        raise InputError(f"{path} {said}") from error


def _require_plain(path: Path, *, zipped: bool) -> None:
    """`InputError` for a pickle that would take torch gigabytes or hours, or is none."""
    inert = frozenset(" ".join(name.rsplit(".", 1)) for name in _BOOKKEEPING)
    try:
        if zipped:
            for content in _pickles(path):
                pickle_program.follow(content, 1, inert)
        else:
            # Without an archive five pickles stand before the storages: a number, a version, the
            # machine, the table and the storages' keys.
            with path.open("rb") as file:
                pickle_program.follow(file.read(_MAX_PICKLE), 5, inert)
    except pickle_program.Refused as refused:
        raise InputError(f"{path} {refused}") from refused


def _pickles(path: Path) -> Iterator[bytes]:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith("/data.pkl"):
                yield archive.read(name)


def _require_plain_archive(path: Path) -> None:
    """`InputError` unless the archive is one that torch.save writes.

    Such an archive has no compressed, repeated or unknown entries.
    """
    size = path.stat().st_size
    if _directory_size(path, size) > _MAX_DIRECTORY:
        raise InputError(
            f"{path} is not a file of tensors that can be read: its archive's directory is larger"
            f" than {_MAX_DIRECTORY} bytes."
        )
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if any(_TORCHSCRIPT.fullmatch(name) for name in names):
        raise InputError(
            f"{path} is a TorchScript program, not a table of tensors; save its state_dict."
        )
    strange = [name for name in names if not _ENTRY.fullmatch(name) or ".." in name]
    if strange or len(set(names)) < len(names) or len({name.split("/")[0] for name in names}) != 1:
        raise InputError(
            f"{path} is not an archive that torch.save writes: it holds"
            f" {quotes.named(strange[0] if strange else names[-1])}."
        )
    if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in entries):
        raise InputError(
            f"{path} is not an archive that torch.save writes: its entries are compressed or"
            " encrypted."
        )
    if sum(entry.file_size for entry in entries) > size:
        raise InputError(
            f"{path} is damaged: its entries claim more bytes than the {size} that it has."
        )
    if any(
        entry.filename.endswith("/data.pkl") and entry.file_size > _MAX_PICKLE for entry in entries
    ):
        raise InputError(
            f"{path} is not a file of tensors that can be read: its data.pkl is larger than"
            f" {_MAX_PICKLE} bytes."
        )


def _directory_size(path: Path, size: int) -> int:
    """Bytes of the directory at a zip's end, all of which zipfile reads."""
    with path.open("rb") as file:
        file.seek(max(0, size - 2**16 - 128))
        tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    large = tail.rfind(b"PK\x06\x06")
    claimed = struct.unpack_from("<I", tail, end + 12)[0]
    return int(
        struct.unpack_from("<Q", tail, large + 40)[0]
        if claimed == 2**32 - 1 and large >= 0
        else claimed
    )


def _table(path: Path, value: Any) -> "dict[str, torch.Tensor]":
    """The tensors by name, without the tables that trainers put around them."""
    for _ in range(4):
        if not isinstance(value, Mapping):
            raise InputError(f"{path} holds a {type(value).__name__}, not a table of tensors.")
        if _holds_tensors(value):
            return _tensors(path, value)
        inner = [
            key for key, one in value.items() if isinstance(one, Mapping) and _holds_tensors(one)
        ]
        if len(inner) > 1 and "state_dict" not in inner:
            raise InputError(
                f"{path} holds {len(inner)} tables of tensors ({', '.join(map(repr, inner))}); save"
                " only the one to measure."
            )
        wrapped = [key for key in ("state_dict", "model") if isinstance(value.get(key), Mapping)]
        if any(type(key) is int and isinstance(one, list) for key, one in value.items()):
            raise InputError(
                f"{path} is a hypernetwork: modules that are put into a model's attention, which"
                " does not change the base's weights."
            )
        following = ["state_dict"] if "state_dict" in inner else inner or wrapped[:1]
        if not following:
            raise InputError(f"{path} holds no tensors.")
        value = value[following[0]]
    raise InputError(f"{path} holds no table of tensors, only tables of tables.")


def _holds_tensors(table: Mapping[Any, Any]) -> bool:
    import torch

    return any(isinstance(value, torch.Tensor) for value in table.values())


def _tensors(path: Path, table: Mapping[Any, Any]) -> "dict[str, torch.Tensor]":
    import torch

    found = {}
    for name, value in table.items():
        if not isinstance(name, str) or not isinstance(
            value, torch.Tensor | int | float | str | None
        ):
            raise InputError(
                f"{path} holds {quotes.named(name)}, a {type(value).__name__}, among its tensors."
            )
        if isinstance(value, torch.Tensor):
            found[name] = value
    return found


def _require_bounded(path: Path, tensors: "Mapping[str, torch.Tensor]") -> None:
    """`InputError` for tensors that need more memory than the file has bytes for them."""
    size = path.stat().st_size
    storages = {}
    for name, tensor in tensors.items():
        plain = (
            tensor.device.type == "cpu"
            and tensor.layout.__str__() == "torch.strided"
            and not tensor.is_quantized
        )
        if not plain or tensor.is_conj() or tensor.is_neg():
            raise InputError(f"{path}: {name} is not a plain tensor; save it dense, on the CPU.")
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        if tensor.numel() * tensor.element_size() > storage.nbytes():
            raise InputError(
                f"{path}: {name} claims the shape {list(tensor.shape)} but has {storage.nbytes()}"
                " bytes in the file."
            )
    if sum(storages.values()) > size:
        raise InputError(
            f"{path} is damaged: its tensors claim more bytes than the {size} that it has."
        )


def _stored(path: Path, name: str, tensor: "torch.Tensor") -> StoredTensor:
    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype not in _DTYPES:
        raise InputError(
            f"{path}: the tensor {name} has the dtype {dtype}, which is not among"
            f" {', '.join(_DTYPES)}."
        )
    return StoredTensor(name, _DTYPES[dtype], tuple(tensor.shape))
