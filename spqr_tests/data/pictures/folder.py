"""A folder that no metadata describes: which of its files are pictures."""

from pathlib import Path

from spqr_tests.data.pictures.row import Row, Rows
from spqr_tests.errors import InputError
from spqr_tests.store.links import listing
from spqr_tests.store.pictures import SUFFIXES, UNREAD_SUFFIXES


def visible(folder: Path) -> list[Path]:
    """What is in a folder, without hidden files, sorted by name."""
    return [path for path in listing(folder) if not path.name.startswith(".")]


def pictures(folder: Path) -> list[Path]:
    """The pictures in a folder, sorted by name; `InputError` names one in another format.

    An evaluation on the others would be smaller than its user thinks.
    """
    for path in visible(folder):
        if path.suffix.lower() in UNREAD_SUFFIXES:
            raise InputError(
                f"The picture {path} is in a format that is not read: convert it to PNG or JPEG, or"
                " take it out."
            )
    return [path for path in visible(folder) if path.suffix.lower() in SUFFIXES]


def uncaptioned(folder: Path, n: int | None) -> Rows:
    """The first `n` pictures of a folder, all for None, without captions."""
    found = pictures(folder)
    left = [path.name for path in visible(folder) if path not in set(found)]
    return Rows(
        folder,
        [Row(str(folder), path.name, "") for path in found[:n]],
        left_out(left, "files and folders that are not pictures"),
        captioned=False,
    )


def left_out(names: list[str], what: str) -> tuple[str, ...]:
    """A note about files that are not used, `what` in the plural; none without any."""
    return (f"{what} are left out: {len(names)}, such as {names[0]}",) if names else ()
