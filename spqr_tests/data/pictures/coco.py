"""COCO's captions: `annotations/captions_*.json` and a folder of pictures, or the file beside its pictures.

Captions in other languages come as files of the same form. An image has several captions, of which
the one with the lowest id is taken.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from spqr_tests.data.pictures.row import DEFAULT_COLUMN, Row
from spqr_tests.errors import InputError
from spqr_tests.store.links import listing

PATTERNS = ("captions_*.json", "annotations/captions_*.json")
_CAPTION = "caption"
# The largest published one, of 2017's training set, has 92 MB.
_MAX_SIZE = 512 * 2**20


def read(captions: Path, column: str) -> tuple[Path, Iterator[Row]]:
    """The pictures' folder, and the rows in the file's order of images; `InputError` says what of the file is not COCO's."""
    images, annotations = _tables(captions)
    key = _CAPTION if column == DEFAULT_COLUMN else column
    first: dict[int | str, tuple[int, Any]] = {}
    for number, one in enumerate(annotations, 1):
        where = f"{captions}, annotation {number}"
        image: Any = one.get("image_id")
        order: Any = one.get("id")
        if (
            not _is_id(image)
            or not isinstance(order, int)
            or isinstance(order, bool)
            or key not in one
        ):
            raise InputError(
                f"{where}: expected is an object with id, image_id and {key}, and it has"
                f" {', '.join(one)}."
            )
        if image not in first or order < first[image][0]:
            first[image] = (order, one[key])
    return _folder(captions, str(next(iter(images.values())))), (
        Row(f"{captions}, image {image}", name, first.get(image, (0, None))[1])
        for image, name in images.items()
    )


def _tables(captions: Path) -> tuple[dict[int | str, Any], list[dict[str, Any]]]:
    """The images' names by id, and the annotations."""
    try:
        size = captions.stat().st_size
        table: Any = json.loads(captions.read_bytes()) if size <= _MAX_SIZE else None
    except OSError as error:
        raise InputError(f"{captions} cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{captions} is not JSON that can be read.") from error
    if size > _MAX_SIZE:
        raise InputError(
            f"{captions} has {size} bytes, and of captions at most {_MAX_SIZE} are accepted."
        )
    lists = [
        table.get(name) if isinstance(table, dict) else None for name in ("images", "annotations")
    ]
    for name, one in zip(("images", "annotations"), lists, strict=True):
        if (
            not isinstance(one, list)
            or not one
            or not all(isinstance(entry, dict) for entry in one)
        ):
            raise InputError(
                f"{captions} is no file of COCO's captions: it has no {name}, a list of objects."
            )
    images: dict[int | str, Any] = {}
    for number, one in enumerate(lists[0] or (), 1):
        image = one.get("id")
        if not _is_id(image) or "file_name" not in one:
            raise InputError(
                f"{captions}, image {number}: expected is an object with id and file_name."
            )
        if image in images:
            raise InputError(
                f"{captions}, image {number}: there are two images with the id {image}."
            )
        images[image] = one["file_name"]
    return images, list(lists[1] or ())


def _folder(captions: Path, name: str) -> Path:
    """Where the pictures lie: the one folder around the file that holds the first of them."""
    beside = captions.parent
    around = beside.parent if beside.name == "annotations" else beside
    tops = list(dict.fromkeys((beside, around, around / "images")))
    if not (found := _holding(name, tops)):
        inner = [
            path
            for top in (around, around / "images")
            if top.is_dir()
            for path in listing(top)
            if path.is_dir()
        ]
        # 'captions_val2017.json' is of 'val2017'.
        found = _holding(name, [path for path in inner if path.name in captions.stem]) or _holding(
            name, inner
        )
    if len(found) > 1:
        raise InputError(
            f"{captions}: its picture {name} lies in {' and in '.join(map(str, found))}; leave one,"
            " or put the file beside its pictures."
        )
    if found:
        return found[0]
    raise InputError(
        f"{captions}: there is no picture {name} in {around}, its images folder or a folder inside."
    )


def _holding(name: str, folders: Iterable[Path]) -> list[Path]:
    try:
        return [folder for folder in folders if (folder / name).is_file()]
    except (OSError, ValueError):  # a name that no file can have
        return []


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)
