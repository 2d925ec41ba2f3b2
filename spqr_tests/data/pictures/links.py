"""Links in a benign set: which folder their targets must be in."""

from pathlib import Path

_KINDS = ("datasets--", "models--", "spaces--")


def root(folder: Path) -> Path:
    """The folder that must hold the files of a set in `folder` when links are followed.

    It is the set's own folder, or the repository's folder for a set in the Hugging Face cache.
    There a repository is `KIND--ORG--NAME/snapshots/COMMIT/...`, whose files are links to
    `KIND--ORG--NAME/blobs`.
    """
    place = folder.resolve()
    for one in (place, *place.parents):
        repository = one.parent.parent
        if one.parent.name == "snapshots" and repository.name.startswith(_KINDS):
            return repository
    return place
