"""Links in a benign set: they may lead about in its folder, and in the Hugging Face cache where that is where it lies."""

from pathlib import Path

_KINDS = ("datasets--", "models--", "spaces--")


def root(folder: Path) -> Path:
    """The folder that the files of a set in `folder` must lie in when links are followed.

    A repository in the cache is `KIND--ORG--NAME/snapshots/COMMIT/...`, whose files are links to
    `KIND--ORG--NAME/blobs`.
    """
    place = folder.resolve()
    for one in (place, *place.parents):
        repository = one.parent.parent
        if one.parent.name == "snapshots" and repository.name.startswith(_KINDS):
            return repository
    return place
