"""Weights in several files, and the index that says which file holds which tensor."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from spqr_tests import files, quotes
from spqr_tests.checkpoint.formats.tensor import StoredTensor, TensorFile
from spqr_tests.checkpoint.formats.tensor_files import open_file
from spqr_tests.errors import InputError
from spqr_tests.store import links

if TYPE_CHECKING:
    import torch


class Shards:
    """The tensors of all files that an index (`*.index.json`) names.

    `InputError` unless the index and the files' contents agree exactly, and each file is next to
    the index and inside `root`.
    """

    def __init__(self, index: Path, root: Path, *, allow_pickle: bool) -> None:
        self._path = index
        self._files: dict[str, TensorFile] = {}
        claimed = _weight_map(index)
        for shard in sorted(set(claimed.values())):
            path = index.parent / shard
            if not links.present(path, root):
                raise InputError(
                    f"{index} names {shard}, which is not next to it; all shards of a set are"
                    " needed."
                )
            file = open_file(path, allow_pickle=allow_pickle)
            expected = {name for name, place in claimed.items() if place == shard}
            _require_same(index, shard, expected, set(file.tensors))
            self._files |= dict.fromkeys(file.tensors, file)
        self._tensors = {name: self._files[name].tensors[name] for name in sorted(self._files)}

    @property
    def path(self) -> Path:
        """The index."""
        return self._path

    @property
    def tensors(self) -> Mapping[str, StoredTensor]:
        """The tensors of all shards."""
        return self._tensors

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the files say of themselves; a later file's word counts, as in diffusers."""
        found: dict[str, str] = {}
        for file in dict.fromkeys(self._files[name] for name in self._tensors):
            found |= getattr(file, "metadata", {})
        return found

    def blocks(self, name: str, begin: int, end: int) -> Iterator[bytes]:
        """The bytes `begin` to `end` of a tensor, in blocks of bounded size."""
        return self._files[name].blocks(name, begin, end)

    def tensor(self, name: str) -> "torch.Tensor":
        """A tensor on the CPU, in the dtype it is stored in."""
        return self._files[name].tensor(name)


def named(index: Path) -> list[str]:
    """Names of the files that an index needs next to it."""
    return sorted(set(_weight_map(index).values()))


def _weight_map(index: Path) -> dict[str, str]:
    table = files.json_object(index).get("weight_map")
    if not isinstance(table, dict) or not table:
        raise InputError(
            f"{index} has no weight_map, which must say which file holds which tensor."
        )
    for shard in table.values():
        if (
            not isinstance(shard, str)
            or Path(shard).name != shard
            or "\\" in shard
            or shard in {"", ".", ".."}
        ):
            raise InputError(
                f"{index} names the file {quotes.named(shard)}; expected the plain name of a"
                " file next to it."
            )
    return table


def _require_same(index: Path, shard: str, expected: set[str], found: set[str]) -> None:
    for what, names in (("lacks", expected - found), ("also holds", found - expected)):
        if names:
            raise InputError(
                f"{index} does not fit its shards: {shard} {what} {len(names)} tensors,"
                f" {quotes.named(min(names))} first; all files must belong to one set."
            )
