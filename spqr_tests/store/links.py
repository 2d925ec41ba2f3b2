"""Links in a checkpoint's folder: a downloaded one must not lead out of it."""

from operator import attrgetter
from pathlib import Path

from spqr_tests.errors import InputError


def present(path: Path, root: Path) -> bool:
    """Whether there is a file at `path`.

    `InputError` for a path that cannot be read, and for those that `require_inside` refuses.
    """
    try:
        if not path.is_symlink() and not path.exists():
            return False
        require_inside(path, root)
        return path.is_file()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error


def listing(folder: Path) -> list[Path]:
    """A folder's contents, sorted by name; `InputError` when it cannot be read."""
    try:
        return sorted(folder.iterdir(), key=attrgetter("name"))
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror}).") from error


def require_inside(path: Path, root: Path) -> None:
    """`InputError` when a path, with links followed, does not exist or is outside `root`."""
    try:
        place = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:  # a RuntimeError is a link to itself
        raise InputError(
            f"{path} is a link to nothing; put the file that it should lead to there."
        ) from error
    if not place.is_relative_to(root.resolve()):
        raise InputError(
            f"{path} is a link to {place}, outside of {root}; put the file itself there."
        )
