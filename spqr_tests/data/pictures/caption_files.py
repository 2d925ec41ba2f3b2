"""Caption files, the layout of LoRA trainers: `KEY.txt` or `KEY.caption` beside `KEY.png`.

kohya's sd-scripts, OneTrainer and ai-toolkit read such folders. Of a file with several lines they
use the first, one at random or all, so that such a file is refused.
"""

from collections.abc import Sequence
from pathlib import Path

from spqr_tests import files
from spqr_tests.data.pictures.folder import left_out, pictures, visible
from spqr_tests.data.pictures.row import DEFAULT_COLUMN, Row, Rows
from spqr_tests.errors import InputError
from spqr_tests.store.links import require_inside
from spqr_tests.store.pictures import SUFFIXES

EXTENSIONS = ("txt", "caption")
_LARGEST = 2**20


def found(folder: Path) -> bool:
    """Whether the folder has a picture with a caption file."""
    return any(
        _captions(path, EXTENSIONS) for path in visible(folder) if path.suffix.lower() in SUFFIXES
    )


def read(folder: Path, column: str, root: Path, n: int | None) -> Rows:
    """The first `n` pictures, all for None, sorted by name, each with its caption.

    `column` is the extension of the caption files, or `DEFAULT_COLUMN` where each picture has one
    only. A caption file must not be a link that leads out of `root`. `InputError` names the picture
    that has no caption, or several.
    """
    extensions = EXTENSIONS if column == DEFAULT_COLUMN else (column,)
    chosen = pictures(folder)
    keys: dict[Path, Path] = {}
    for path in chosen:
        if (other := keys.setdefault(path.with_suffix(""), path)) != path:
            raise InputError(
                f"{folder}: {other.name} and {path.name} share one caption file; give one of them"
                " another name."
            )
    rows = [Row(str(folder), path.name, _caption(path, extensions, root)) for path in chosen[:n]]
    left = [
        path.name
        for path in visible(folder)
        if path not in set(chosen)
        and not (path.suffix[1:] in extensions and path.with_suffix("") in keys)
    ]
    return Rows(folder, rows, left_out(left, "files that are neither pictures nor their captions"))


def _captions(picture: Path, extensions: Sequence[str]) -> list[Path]:
    places = [picture.with_suffix(f".{extension}") for extension in extensions]
    return [place for place in places if place.is_symlink() or place.exists()]


def _caption(picture: Path, extensions: Sequence[str], root: Path) -> str:
    places = _captions(picture, extensions)
    if not places:
        names = (picture.with_suffix(f".{extension}").name for extension in extensions)
        raise InputError(
            f"{picture} has no caption: expected {' or '.join(names)} beside it. Write one, or take"
            " the picture out."
        )
    if len(places) > 1:
        raise InputError(
            f"{picture} has captions in {' and in '.join(one.name for one in places)}: set caption"
            f" to {' or '.join(extensions)} in the protocol, which says which of them is meant."
        )
    require_inside(places[0], root)
    text = files.text(places[0], "The caption", most=_LARGEST).replace("\r", "\n")
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if len(lines) > 1:
        raise InputError(
            f"The caption {places[0]} has {len(lines)} lines, of which trainers use the first, one"
            " at random or all: keep one line, or write metadata.jsonl with a row for each."
        )
    return lines[0] if lines else ""
