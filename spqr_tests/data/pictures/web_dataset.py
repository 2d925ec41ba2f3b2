"""WebDatasets: tars of pictures with their captions.

`KEY.jpg` (or jpeg, png, webp) has its caption in `KEY.txt`, or in a key of `KEY.json`. The needed
members are unpacked into the store, under names of our own: a tar is untrusted, and nothing in it
decides where a file is written. A key of JSON may hold a list of captions.
"""

import json
import re
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from tarfile import TarFile, TarInfo
from typing import Any, NamedTuple, Self

from spqr_tests import quotes
from spqr_tests.data.pictures.folder import left_out
from spqr_tests.data.pictures.image_folder import NAMES
from spqr_tests.data.pictures.row import DEFAULT_COLUMN
from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.store import digest, folders, pictures
from spqr_tests.store.store import Store

_REVISION = 1
_PICTURES = ("jpg", "jpeg", "png", "webp")
_FORMATS = ("JPEG", "PNG", "WEBP")
_KIND = "unpacked"
_BLOCK = tarfile.BLOCKSIZE
# Shards have some 10,000 samples.
_MAX_MEMBERS = 500_000
_MAX_PICTURE = 64 * 2**20
_MAX_CAPTION = 2**20
# Bytes of a pax header, or of a long name as GNU tar writes it.
_EXTENSIONS = (b"x", b"g", b"X", b"L", b"K")
_MAX_EXTENSION = 2048


class _BoundedInfo(TarInfo):
    """A member whose long name or extended header is short: tarfile's time is by its square."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """The header in these bytes; `InputError` for one that announces a long extension."""
        found = super().frombuf(buf, encoding, errors)
        if found.type in _EXTENSIONS and found.size > _MAX_EXTENSION:
            raise InputError(
                f"a header in it has {found.size} bytes, and at most {_MAX_EXTENSION} are read;"
                " give its members shorter names"
            )
        return found


class _Sample(NamedTuple):
    """One key's members."""

    key: str
    picture: TarInfo
    caption: TarInfo


def unpack(
    tars: Sequence[Path], n: int | None, column: str, store: Store
) -> tuple[Path, tuple[str, ...]]:
    """Unpack the first `n` pictures of `tars`, all for None, into an image folder in the store.

    Returns the folder, and notes about members of the opened tars that are not used.
    A folder that the store already has is used again. With the default column `KEY.txt` holds the
    caption where that file exists; else the key `column` of `KEY.json`. Raises `InputError` for a
    tar that is damaged, holds a link or names a file outside itself, and for a member that is too
    large, not a readable picture, or without its picture or caption.
    """
    chosen: list[tuple[Path, list[_Sample]]] = []
    unused: list[str] = []
    for tar in tars:
        wanted = None if n is None else n - sum(len(samples) for _, samples in chosen)
        if wanted == 0:
            break
        samples, others = _samples(tar, column)
        chosen.append((tar, samples[:wanted]))
        unused += others
    counts = [len(samples) for _, samples in chosen]
    key = digest.of_json([_REVISION, column, counts, [digest.of_file(tar) for tar, _ in chosen]])
    folder = folders.kept(store, _KIND, key, lambda folder: _write(chosen, column, folder))
    return folder, left_out(unused, "members of tars that are neither pictures nor captions")


def _write(chosen: list[tuple[Path, list[_Sample]]], column: str, folder: Path) -> None:
    lines: list[str] = []
    for tar, samples in chosen:
        with _opened(tar) as archive:
            for sample in samples:
                where = f"{tar}, {quotes.named(sample.picture.name)}"
                data = _data(archive, sample.picture, where)
                try:
                    pictures.require_format(data, _FORMATS)
                except EvidenceError as error:
                    raise InputError(f"{where}: {error}") from error
                # The name says where the picture is from, so that a person can find it in its tar.
                readable = re.sub(r"[^A-Za-z0-9_]+", "-", f"{tar.stem}-{sample.key}")[-80:]
                name = f"{len(lines):06d}-{readable.strip('-')}.{_extension(sample.picture.name)}"
                (folder / name).write_bytes(data)
                text = _caption(
                    sample.caption.name, _data(archive, sample.caption, where), column, tar
                )
                lines.append(
                    json.dumps({"file_name": name, DEFAULT_COLUMN: text}, ensure_ascii=False)
                )
    (folder / NAMES[0]).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _caption(name: str, data: bytes, column: str, tar: Path) -> str | list[str]:
    where = f"{tar}, {quotes.named(name)}"
    try:
        text: Any = data.decode("utf-8-sig")
        if _extension(name) == "json":
            value = json.loads(text)
            text = value.get(column) if isinstance(value, dict) else None
            str(text).encode()  # refuses half a character
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not readable: expected UTF-8 text or JSON.") from error
    texts = text if isinstance(text, list) and text else [text]
    if not all(isinstance(one, str) for one in texts):
        raise InputError(f"{where}: expected an object in which {column} is the caption.")
    if not all(one.strip() for one in texts):
        raise InputError(f"{where} is an empty caption.")
    stripped = [one.strip() for one in texts]
    return stripped if len(stripped) > 1 else stripped[0]


def _samples(tar: Path, column: str) -> tuple[list[_Sample], list[str]]:
    """The samples of a tar, in the order of their first members, and other members' names."""
    found: dict[str, dict[str, TarInfo]] = {}
    others: list[str] = []
    with _opened(tar) as archive:
        for member in _members(archive, tar):
            key, extension = _key(member.name), _extension(member.name)
            if key is None or extension not in (*_PICTURES, "txt", "json"):
                others.append(member.name)
                continue
            largest = _MAX_PICTURE if extension in _PICTURES else _MAX_CAPTION
            if member.size > largest:
                raise InputError(
                    f"{tar}, {quotes.named(member.name)} has {member.size} bytes; at most"
                    f" {largest} are"
                    " accepted."
                )
            if extension in found.setdefault(key, {}):
                raise InputError(f"{tar} holds {quotes.named(member.name)} twice.")
            found[key][extension] = member
    return [_sample(tar, key, members, column) for key, members in found.items()], others


def _sample(tar: Path, key: str, members: dict[str, TarInfo], column: str) -> _Sample:
    shown = [members[extension] for extension in _PICTURES if extension in members]
    if len(shown) != 1:
        found = ", ".join(repr(member.name) for member in members.values())
        raise InputError(
            f"{tar} holds {len(shown) or 'no'} pictures for the key {quotes.named(key)}, not"
            f" one: {found}."
        )
    by_text = "txt" in members and column == DEFAULT_COLUMN
    caption = members.get("txt" if by_text else "json")
    if caption is None:
        expected = (
            f"{key}.txt or {key}.json" if column == DEFAULT_COLUMN else f"{key}.json with {column}"
        )
        raise InputError(
            f"{tar}, {quotes.named(shown[0].name)} has no caption: there is no {expected}."
        )
    return _Sample(key, shown[0], caption)


def _opened(tar: Path) -> TarFile:
    try:
        return tarfile.open(tar, "r:", encoding="utf-8", tarinfo=_BoundedInfo)
    except OSError as error:
        raise InputError(f"{tar} cannot be read ({error.strerror}).") from error
    except InputError as error:
        raise InputError(f"{tar}: {error}.") from error
    except (tarfile.TarError, ValueError, RecursionError) as error:
        raise InputError(
            f"{tar} is not a tar archive (decompress it first if it is compressed): {error}."
        ) from error


def _members(archive: TarFile, tar: Path) -> Iterator[TarInfo]:
    """The files of an archive; `InputError` for other members and for a damaged archive.

    Folders are skipped. The checks of offsets and sizes are needed because tarfile takes a header
    that it cannot read for the end, and loops on a negative size.
    """
    total, end = tar.stat().st_size, 0
    damaged = InputError(f"{tar} is damaged or cut off: fetch it again.")
    try:
        for number, member in enumerate(archive, 1):
            if member.offset < end or member.size < 0 or number > _MAX_MEMBERS:
                raise damaged
            if member.issparse() or not (member.isreg() or member.isdir()):
                raise InputError(
                    f"{tar}, {quotes.named(member.name)} is not a plain file: links and devices"
                    " are not"
                    " accepted."
                )
            if member.name.startswith("/") or ".." in PurePosixPath(member.name).parts:
                raise InputError(
                    f"{tar} holds {quotes.named(member.name)}, a path outside the archive."
                )
            end = member.offset_data + (-(-member.size // _BLOCK) * _BLOCK if member.isreg() else 0)
            if end > total:
                raise damaged
            if member.isreg():
                yield member
    except (
        tarfile.TarError,
        OSError,
        ValueError,
        OverflowError,
        RecursionError,
        EOFError,
    ) as error:
        if isinstance(error, InputError):
            raise InputError(
                str(error) if str(tar) in str(error) else f"{tar}: {error}."
            ) from error
        raise damaged from error
    with tar.open("rb") as file:
        file.seek(end)
        if file.read(_BLOCK) != bytes(_BLOCK):
            raise damaged


def _data(archive: TarFile, member: TarInfo, where: str) -> bytes:
    try:
        file = archive.extractfile(member)
        data = b"" if file is None else file.read()
    except (tarfile.TarError, OSError, ValueError) as error:
        raise InputError(f"{where} cannot be read ({error}).") from error
    if len(data) != member.size:
        raise InputError(f"{where} is cut off: fetch it again.")
    return data


def _key(name: str) -> str | None:
    """The key that a sample's members share: the name up to the base name's first dot.

    None for a name that belongs to no sample.
    """
    folder, slash, base = name.rpartition("/")
    stem, dot, _ = base.partition(".")
    return f"{folder}{slash}{stem}" if stem and dot else None


def _extension(name: str) -> str:
    return name.rpartition("/")[2].partition(".")[2].lower()
