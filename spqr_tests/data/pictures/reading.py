"""Reading a benign set, whatever its layout."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from spqr_tests import quotes
from spqr_tests.data.pictures import (
    caption_files,
    coco,
    folder,
    image_folder,
    links,
    web_dataset,
)
from spqr_tests.data.pictures.benign_set import BenignSet
from spqr_tests.data.pictures.row import DEFAULT_COLUMN, Row, Rows
from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.store import pictures
from spqr_tests.store.conversion import Treatment
from spqr_tests.store.links import listing, require_inside
from spqr_tests.store.store import Store

_EXPECTED = (
    f"expected a folder of pictures with {' or '.join(image_folder.NAMES)}, COCO's"
    " captions_*.json in the folder or its annotations, a WebDataset's *.tar, or KEY.txt beside"
    " each KEY.png"
)
# The longest that trainers write have a few thousand; a tokenizer takes 350 bytes a character.
_LONGEST_CAPTION = 100_000
_MOST_CAPTIONS = 1000
_UNREAD = {".parquet": "Parquet", ".arrow": "Arrow", ".zip": "ZIP", ".gz": "gzip", ".tgz": "gzip"}


def read(
    path: Path,
    n: int | None = None,
    caption: str | None = DEFAULT_COLUMN,
    *,
    spare: int = 0,
    store: Store | None = None,
    contents: Mapping[str, str] | None = None,
) -> BenignSet:
    """Read the first `n` pictures of the set at `path`, all for None, each with all its captions.

    Up to `spare` pictures behind them are read too, where the set has more.

    `path` is a folder, or the file that describes the set. Captions are in the column or key
    `caption`. With None a folder of pictures alone is accepted too: their captions are empty, since
    such pictures are only compared with, not trained on. Tars are unpacked into `store`, once.
    `contents` has the SHA-256 of files that the suite itself has drawn and just compared with it,
    by their path in the folder: those need not be opened.
    `InputError` says what cannot be used.
    """
    most = None if n is None else n + spare
    rows = _rows(path, most, caption, store)
    root = links.root(rows.folder)
    # What conversion will do to each picture, known before it is decoded.
    treatments: dict[Path, frozenset[Treatment]] = {}
    pairs: list[tuple[Path, str]] = []
    drawn: dict[Path, str] = {}
    for row in rows.rows:
        place = _place(row, rows.folder)
        if place not in treatments:
            if len(treatments) == most:
                continue
            if contents is None:
                treatments[place] = _required(row, place, rows.folder, root)
            else:
                drawn[place] = contents[os.path.normpath(row.name)]
                treatments[place] = frozenset()
        pairs += [(place, text) for text in (_captions(row, place) if rows.captioned else [""])]
    if len(treatments) < (n or 1):
        raise InputError(
            f"The benign set {path} holds {len(treatments)} pictures, but the protocol asks for"
            f" {n or 1}."
        )
    done = Counter(one for found in treatments.values() for one in found)
    notes = [f"pictures {one}: {done[one]} of {len(treatments)}" for one in Treatment if done[one]]
    return BenignSet(rows.folder, tuple(pairs), (*notes, *rows.notes), drawn)


def _rows(path: Path, n: int | None, caption: str | None, store: Store | None) -> Rows:
    column = caption or DEFAULT_COLUMN
    described = _described(path)
    if not described and caption is None and path.is_dir():
        return folder.uncaptioned(path, n)
    if not described and path.is_dir() and caption_files.found(path):
        return caption_files.read(path, column, links.root(path), n)
    if not described:
        raise InputError(f"The benign set {path} cannot be read: {_EXPECTED}.{_hint(path)}")
    if described[0].suffix == ".tar":
        if store is None:
            raise ValueError("a WebDataset is unpacked into a store, and none was given")
        unpacked, notes = web_dataset.unpack(described, n, column, store)
        rows = image_folder.read(unpacked / image_folder.NAMES[0], DEFAULT_COLUMN)
        return rows._replace(notes=notes)
    if described[0].suffix == ".json":
        return coco.read(described[0], column)
    return image_folder.read(described[0], column)


def _described(path: Path) -> tuple[Path, ...]:
    """The file that describes the set, or its tars; none for other folders."""
    try:
        if path.is_file():
            if path.suffix not in (".jsonl", ".csv", ".json", ".tar"):
                raise InputError(
                    f"The benign set {path} is a file that does not describe one: {_EXPECTED}."
                )
            return (path,)
        files = [path / name for name in image_folder.NAMES if (path / name).is_file()]
        captions = sorted(one for pattern in coco.PATTERNS for one in path.glob(pattern))
        tars = tuple(sorted(one for one in path.glob("*.tar") if not one.name.startswith(".")))
    except OSError as error:
        raise InputError(f"The benign set {path} cannot be read ({error.strerror}).") from error
    described = [*files, *captions, *tars[:1]]
    if len(described) > 1:
        names = ", ".join(str(one.relative_to(path)) for one in described)
        raise InputError(
            f"The benign set {path} is described by {names}; name the file that you mean, such as"
            f" {described[0]}."
        )
    for one in tars or described:
        require_inside(one, links.root(path))
    return tars or tuple(described)


def _hint(path: Path) -> str:
    """What to do about a folder that is not a set: a set in a folder inside it, or other files."""
    if not path.is_dir():
        return ""
    for one in listing(path):
        if one.is_dir() and not one.name.startswith("."):
            inner = [one / name for name in image_folder.NAMES]
            if (
                any(name.is_file() for name in inner)
                or any(one.glob("*.tar"))
                or caption_files.found(one)
            ):
                return f" The folder {one} in it has them: name that folder."
    for one in (*listing(path), *sorted(path.glob("data/*"))):
        if (kind := _UNREAD.get(one.suffix)) is not None:
            return (
                f" {one.name} in it is {kind}, which is not read: export the pictures, with"
                " metadata.jsonl for their captions."
            )
    return ""


def _place(row: Row, top: Path) -> Path:
    """The path of the picture that a row names; links are not followed."""
    if not isinstance(row.name, str) or not row.name or "\0" in row.name:
        raise InputError(f"{row.where}: {quotes.shown(row.name)} is not a picture's file name.")
    return Path(os.path.normpath(os.path.join(top, row.name)))  # noqa: PTH118  half the time


def _required(row: Row, path: Path, top: Path, root: Path) -> frozenset[Treatment]:
    """What conversion will do to a picture; a file outside `root` is never opened."""
    try:
        str(row.name).encode()
        inside = path.is_relative_to(os.path.normpath(top)) and (
            path.is_symlink() or path.is_file()
        )
    except (OSError, ValueError) as error:
        raise InputError(
            f"{row.where}: {quotes.shown(row.name)} is not a picture's file name."
        ) from error
    if not inside:
        raise InputError(f"{row.where}: there is no picture {quotes.cut(row.name)} in {top}.")
    require_inside(path, root)
    try:
        return pictures.require(path)
    except EvidenceError as error:
        raise InputError(f"{row.where}: {error}") from error


def _captions(row: Row, path: Path) -> Iterator[str]:
    listed = isinstance(row.caption, list) and row.caption
    if listed and len(row.caption) > _MOST_CAPTIONS:
        raise InputError(
            f"{row.where}: {path.name} has {len(row.caption)} captions, and at most"
            f" {_MOST_CAPTIONS} are read; leave some out."
        )
    for text in row.caption if listed else [row.caption]:
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"{row.where}: {path.name} has no caption.")
        if len(text) > _LONGEST_CAPTION:
            raise InputError(
                f"{row.where}: the caption of {path.name} has {len(text)} characters, and at most"
                f" {_LONGEST_CAPTION} are read; shorten it."
            )
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"{row.where}: the caption of {path.name} has half a character (a lone surrogate)."
            ) from error
        yield text
