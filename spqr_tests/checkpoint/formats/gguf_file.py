"""Reads a GGUF file: a model's tensors, most of them packed in blocks of a few bits.

A layer of diffusers unpacks its weight each time that it multiplies by it
(`diffusers.quantizers.gguf.utils.GGUFLinear`), so the numbers that it unpacks are the model.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spqr_tests.checkpoint.formats import gguf_header
from spqr_tests.checkpoint.formats.tensor import BLOCK, ModelTensor, StoredTensor, blocks_of
from spqr_tests.errors import InputError
from spqr_tests.store import libraries

if TYPE_CHECKING:
    import torch

SUFFIX = ".gguf"
LIBRARY = "gguf"
_PLAIN = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_DTYPES = {"torch.float16": "F16", "torch.float32": "F32"}


class GgufFile:
    """The tensors of a GGUF file, as the numbers that diffusers unpacks.

    `InputError` where the package gguf is not installed, for a damaged file, and for a way of
    packing that diffusers does not unpack.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if libraries.version(LIBRARY) is None:
            raise InputError(
                f"{path} is a GGUF file, whose weights are quantised; to read it, install the"
                " package gguf: pip install 'spqr-tests[gguf]'."
            )
        import gguf

        self._types = {int(one): one for one in gguf.GGMLQuantizationType}
        sizes = {int(one): size for one, size in gguf.GGML_QUANT_SIZES.items()}
        found = gguf_header.read(path, sizes)
        self._entries = {one.name: one for one in sorted(found, key=lambda one: one.name)}
        self.kinds = {
            name: kind
            for name, one in self._entries.items()
            if (kind := self._types[one.kind].name) not in _PLAIN
        }
        """ggml's name of how each packed tensor is packed ('Q4_K')."""
        dtypes = {kind: self._dtype(kind) for kind in set(self.kinds.values())}
        self._tensors = {}
        for name, one in self._entries.items():
            dtype = dtypes[self.kinds[name]] if name in self.kinds else self._type(name)
            self._tensors[name] = StoredTensor(name, dtype, one.shape)
        # A layout may ask for the parts of one tensor, one after another.
        self._numbers = lru_cache(maxsize=1)(self._unpacked)

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def tensors(self) -> Mapping[str, StoredTensor]:
        """The tensors that the header names, sorted by name."""
        return self._tensors

    def blocks(self, name: str, begin: int, end: int) -> Iterator[bytes]:
        """The bytes `begin` to `end` of a tensor's numbers, in blocks of at most 4 MiB."""
        yield from blocks_of(self._numbers(name), name, begin, end)

    def tensor(self, name: str) -> "torch.Tensor":
        """A tensor's numbers on the CPU, in the dtype in which diffusers unpacks them."""
        return self._numbers(name)

    def _type(self, name: str) -> str:
        return str(self._types[self._entries[name].kind].name)

    @cached_property
    def _unpackers(self) -> dict[str, Any]:
        from diffusers.quantizers.gguf.utils import dequantize_functions

        return {one.name: unpack for one, unpack in dequantize_functions.items()}

    def _sizes(self, kind: str) -> tuple[int, int]:
        import gguf

        elements, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
        return int(elements), int(size)

    def _dtype(self, kind: str) -> str:
        """The dtype in which diffusers unpacks, which its releases may change."""
        import torch

        if kind not in self._unpackers:
            raise InputError(
                f"{self._path} has tensors packed as {kind}, which diffusers does not unpack; it"
                f" unpacks {', '.join(sorted(self._unpackers))}. Pass the weights in one of these,"
                " or in 16 or 32 bits."
            )
        elements, size = self._sizes(kind)
        block = torch.zeros(1, size, dtype=torch.uint8)
        return _DTYPES[str(self._unpackers[kind](block, elements, size).dtype)]

    def _unpacked(self, name: str) -> "torch.Tensor":
        import torch

        entry = self._entries[name]
        count = entry.end - entry.begin
        try:
            raw = np.fromfile(self._path, np.uint8, count, offset=entry.begin)
        except OSError as error:
            raise InputError(f"{self._path} cannot be read ({error.strerror}).") from error
        if raw.size != count:
            raise InputError(f"{self._path} was cut short while it was read: {name} lacks bytes.")
        data = torch.from_numpy(raw)
        if name not in self.kinds:
            return data.view(getattr(torch, _PLAIN[self._type(name)])).reshape(entry.shape)
        kind = self.kinds[name]
        elements, size = self._sizes(kind)
        # Of many blocks at once, an unpacker needs several times their bytes.
        rows = data.reshape(-1, size).split(max(1, BLOCK // size))
        numbers = torch.cat([self._unpackers[kind](one, elements, size).flatten() for one in rows])
        return numbers[: prod(entry.shape)].reshape(entry.shape)


def described(tensors: Iterable[ModelTensor]) -> str:
    """How many of a component's tensors are packed and how, as the end of a clause; or ''."""
    ways = Counter(
        one.file.kinds[one.stored.name]
        for one in tensors
        if isinstance(one.file, GgufFile) and one.stored.name in one.file.kinds
    )
    if not ways:
        return ""
    listed = ", ".join(f"{count} tensors in {way}" for way, count in sorted(ways.items()))
    return (
        f"quantised (GGUF: {listed}): the numbers are those that diffusers unpacks, computed with"
        " in the sampler's dtype"
    )
