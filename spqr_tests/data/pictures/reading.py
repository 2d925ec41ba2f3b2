"""Reading a benign set, whatever its layout."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from spqr_tests.data.pictures import coco, image_folder, links, web_dataset
from spqr_tests.data.pictures.benign_set import BenignSet
from spqr_tests.data.pictures.row import DEFAULT_COLUMN, Row
from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.store import images
from spqr_tests.store.links import require_inside
from spqr_tests.store.store import Store

_EXPECTED = (
    f"expected a folder of pictures with {' or '.join(image_folder.NAMES)}, COCO's"
    " captions_*.json in the folder or its annotations, or a WebDataset's *.tar"
)
_PICTURES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


def read(
    path: Path,
    n: int | None = None,
    caption: str | None = DEFAULT_COLUMN,
    *,
    store: Store | None = None,
) -> BenignSet:
    """Read the first `n` pairs of the set at `path`, all for None.

    `path` is a folder, or the file that describes the set. Captions are in the column or key
    `caption`. With None a folder of pictures alone is accepted too: their captions are empty, since
    such pictures are only compared with, not trained on. Tars are unpacked into `store`, once.
    `InputError` says what cannot be used.
    """
    column = caption or DEFAULT_COLUMN
    metadata = _metadata(path, pictures_will_do=caption is None)
    if metadata and metadata[0].suffix == ".tar":
        if store is None:
            raise ValueError("a WebDataset is unpacked into a store, and none was given")
        metadata = (web_dataset.unpack(metadata, n, column, store) / image_folder.NAMES[0],)
        column = DEFAULT_COLUMN
    if not metadata:
        found: tuple[Path, Iterator[Row]] = (path, _pictures(path))
    elif metadata[0].suffix == ".json":
        found = coco.read(metadata[0], column)
    else:
        found = (metadata[0].parent, image_folder.rows(metadata[0], column))
    folder, rows = found
    root = links.root(folder)
    pairs = tuple(_pair(row, folder, root, captioned=bool(metadata)) for row in islice(rows, n))
    if len(pairs) < (n or 1):
        raise InputError(
            f"The benign set {path} holds {len(pairs)} pictures, but the protocol asks for"
            f" {n or 1}."
        )
    return BenignSet(folder, pairs)


def _metadata(path: Path, *, pictures_will_do: bool) -> tuple[Path, ...]:
    """The file that describes the set, or its tars; none for a folder of pictures."""
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
        if pictures_will_do and not (files or captions or tars) and path.is_dir():
            return ()
    except OSError as error:
        raise InputError(f"The benign set {path} cannot be read ({error.strerror}).") from error
    described = [*files, *captions, *tars[:1]]
    if not described:
        raise InputError(f"The benign set {path} cannot be read: {_EXPECTED}.")
    if len(described) > 1:
        names = ", ".join(str(one.relative_to(path)) for one in described)
        raise InputError(
            f"The benign set {path} is described by {names}; name the file that you mean, such as"
            f" {described[0]}."
        )
    for one in tars or described:
        require_inside(one, links.root(path))
    return tars or tuple(described)


def _pictures(folder: Path) -> Iterator[Row]:
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in _PICTURES and not path.name.startswith("."):
            yield Row(str(folder), path.name, "")


def _pair(row: Row, folder: Path, root: Path, *, captioned: bool) -> tuple[Path, str]:
    """The picture and the caption that a row names; a file outside `root` is never opened."""
    if not isinstance(row.name, str) or not row.name or "\0" in row.name:
        raise InputError(f"{row.where}: {row.name!r} is not a picture's file name.")
    # This does not follow links: `require_inside` checks where they lead.
    path = Path(os.path.normpath(folder / row.name))
    try:
        str(row.name).encode()
        inside = path.is_relative_to(os.path.normpath(folder)) and (
            path.is_symlink() or path.is_file()
        )
    except (OSError, ValueError) as error:
        raise InputError(f"{row.where}: {row.name!r} is not a picture's file name.") from error
    if not inside:
        raise InputError(f"{row.where}: there is no picture {row.name} in {folder}.")
    require_inside(path, root)
    try:
        images.require_picture(path)
    except EvidenceError as error:
        raise InputError(f"{row.where}: {error}") from error
    return path, _caption(row, path) if captioned else ""


def _caption(row: Row, path: Path) -> str:
    if not isinstance(row.caption, str) or not row.caption.strip():
        raise InputError(f"{row.where}: {path.name} has no caption.")
    try:
        row.caption.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{row.where}: the caption of {path.name} has half a character (a lone surrogate)."
        ) from error
    return row.caption
