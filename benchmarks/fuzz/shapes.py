"""Shapes: the part of a file that is worth changing, and the file around it made right again.

A changed byte of a PNG fails its checksum, and one of a zip its directory: what lies behind them
would never be reached.
"""

import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from typing import NamedTuple


class Shape(NamedTuple):
    """How a kind of file is taken apart and put together."""

    parts: Callable[[bytes], list[bytes]]
    """What may be changed, of a valid file."""
    whole: Callable[[bytes, list[bytes]], bytes]
    """A file with changed parts in place of the valid file's."""


PLAIN = Shape(lambda data: [data], lambda _, parts: b"".join(parts))
"""A file that is one part."""


def _header(data: bytes) -> list[bytes]:
    (length,) = struct.unpack("<Q", data[:8])
    return [data[8 : 8 + length], data[8 + length :]]


SAFETENSORS = Shape(
    _header, lambda _, parts: struct.pack("<Q", len(b"".join(parts[:1]))) + b"".join(parts)
)
"""The header, whose length is stated before it, and the tensors."""


def _entries(data: bytes) -> list[bytes]:
    if not data.startswith(b"PK"):
        return [data]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [archive.read(name) for name in archive.namelist()]


def _archive(data: bytes, parts: list[bytes]) -> bytes:
    if not data.startswith(b"PK"):
        return b"".join(parts)
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as valid, zipfile.ZipFile(buffer, "w") as archive:
        for name, part in zip(valid.namelist(), parts, strict=False):
            archive.writestr(name, part)
    return buffer.getvalue()


ARCHIVE = Shape(_entries, _archive)
"""The entries of torch.save's archive, or an older file without one."""


def _members(data: bytes) -> list[bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return [
            part
            for member in archive
            for part in (member.name.encode(), (archive.extractfile(member) or io.BytesIO()).read())
        ]


def _tar(_: bytes, parts: list[bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in zip(parts[::2], parts[1::2], strict=False):
            member = tarfile.TarInfo(name.decode("utf-8", "surrogateescape"))
            member.size = len(content)
            # Every hundredth name or so is a link's, a folder's or a device's.
            kinds = b"125367"
            member.type = kinds[len(name) % 6 :][:1] if name.endswith(b"\xff") else tarfile.REGTYPE
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


TAR = Shape(_members, _tar)
"""The names and contents of a tar's members."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def _chunks(data: bytes) -> list[bytes]:
    found, place = [], len(_SIGNATURE)
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        found.append(data[place + 4 : place + 8 + length])
        place += 12 + length
    return found


def _png(_: bytes, parts: list[bytes]) -> bytes:
    return _SIGNATURE + b"".join(
        struct.pack(">I", max(0, len(part) - 4)) + part + struct.pack(">I", zlib.crc32(part))
        for part in parts
    )


PNG = Shape(_chunks, _png)
"""The chunks of a PNG, each with its name."""
