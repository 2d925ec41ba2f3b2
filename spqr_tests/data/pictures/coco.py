"""COCO's captions: `captions_*.json` and the pictures that it names.

The file is in a folder `annotations` next to the pictures' folder, or in the pictures' own folder.
Captions in other languages come as files of the same form. A picture has several captions; the one
with the lowest id is used.
"""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from spqr_tests import files, quotes
from spqr_tests.data.pictures.row import DEFAULT_COLUMN, Row, Rows
from spqr_tests.errors import InputError
from spqr_tests.store.links import listing

PATTERNS = ("captions_*.json", "annotations/captions_*.json")
_CAPTION = "caption"
# The largest published file, of 2017's training set, has 92 MB.
_MAX_SIZE = 512 * 2**20
_SHOWN = 10


def read(captions: Path, column: str) -> Rows:
    """Find the pictures' folder, and read the rows in the file's order of images.

    With `DEFAULT_COLUMN` as `column`, captions are in COCO's own key `caption`. `InputError` says
    what in the file is not as COCO writes it.
    """
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
                f"{where}: expected an object with id, image_id and {key}, but it has"
                f" {', '.join(map(quotes.cut, islice(one, _SHOWN)))}."
            )
        if image not in first or order < first[image][0]:
            first[image] = (order, one[key])
    used = sum(image in first for image in images)
    more = len(annotations) - used
    return Rows(
        _folder(captions, str(next(iter(images.values())))),
        [
            Row(f"{captions}, image {quotes.cut(str(image))}", name, first.get(image, (0, None))[1])
            for image, name in images.items()
        ],
        (f"captions after the first of each picture are left out: {more}",) if more else (),
    )


def _tables(captions: Path) -> tuple[dict[int | str, Any], list[dict[str, Any]]]:
    """The pictures' file names by image id, and the annotations."""
    table = files.json_object(captions, most=_MAX_SIZE)
    lists = [table.get(name) for name in ("images", "annotations")]
    for name, one in zip(("images", "annotations"), lists, strict=True):
        if (
            not isinstance(one, list)
            or not one
            or not all(isinstance(entry, dict) for entry in one)
        ):
            raise InputError(
                f"{captions} is not a COCO captions file: it has no list of objects named {name}."
            )
    images: dict[int | str, Any] = {}
    for number, one in enumerate(lists[0] or (), 1):
        image = one.get("id")
        if not _is_id(image) or "file_name" not in one:
            raise InputError(
                f"{captions}, image {number}: expected an object with id and file_name."
            )
        if image in images:
            raise InputError(
                f"{captions}, image {number}: two images have the id {quotes.cut(str(image))}."
            )
        images[image] = one["file_name"]
    return images, list(lists[1] or ())


def _folder(captions: Path, name: str) -> Path:
    """The pictures' folder: the only one near the file that holds the first picture, `name`."""
    own = captions.parent
    around = own.parent if own.name == "annotations" else own
    tops = list(dict.fromkeys((own, around, around / "images")))
    if not (found := _holding(name, tops)):
        inner = [
            path
            for top in (around, around / "images")
            if top.is_dir()
            for path in listing(top)
            if path.is_dir()
        ]
        # 'captions_val2017.json' describes the folder 'val2017'.
        found = _holding(name, [path for path in inner if path.name in captions.stem]) or _holding(
            name, inner
        )
    if len(found) > 1:
        raise InputError(
            f"{captions}: its picture {quotes.cut(name)} is in"
            f" {' and in '.join(map(str, found))}; keep one of"
            " them, or put the file into its pictures' folder."
        )
    if found:
        return found[0]
    raise InputError(
        f"{captions}: there is no picture {quotes.cut(name)} in {around}, in its folder images"
        " or in a folder"
        " inside either."
    )


def _holding(name: str, folders: Iterable[Path]) -> list[Path]:
    try:
        return [folder for folder in folders if (folder / name).is_file()]
    except (OSError, ValueError):  # a name that no file can have
        return []


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)
