"""Explains the errors that huggingface_hub raises, in one sentence.

Its releases use three HTTP libraries (requests, httpx, httpx2) with their own exceptions, so only
its own classes are distinguished.
"""

import errno
import os
from pathlib import Path

_LOGIN = "set HF_TOKEN or log in with the hub's command line"


def sentence(error: Exception, what: str, *, url: str, revision: str, cache: Path) -> str:
    """Why `what` (a file, or the listing) could not be fetched from `url`, and what to do."""
    from huggingface_hub import errors

    if isinstance(error, errors.LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        # The file is not in the cache; the cause says why it was not downloaded.
        error = error.__cause__
    known: dict[type[Exception], str] = {
        errors.GatedRepoError: (
            f"access to the repository is restricted: ask for it at {url}, and {_LOGIN}."
        ),
        errors.RepositoryNotFoundError: (
            "there is no such path, and no such repository that you may read at"
            f" {url}: check its spelling or, if it is private, {_LOGIN}."
        ),
        errors.RevisionNotFoundError: (
            f"the repository has no revision {revision}; put a branch, a tag or a commit after"
            " the @."
        ),
        errors.DisabledRepoError: "the hub has disabled the repository.",
        errors.EntryNotFoundError: f"the hub lists {what} but does not have it; run again.",
    }
    for kind, said in known.items():
        if isinstance(error, kind):
            return said
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in {401, 403}:
        return f"the hub does not let you read {what} (status {status}); {_LOGIN}."
    if status is not None:
        return f"the hub answers with status {status} when asked for {what}; try again later."
    if any(os.strerror(full) in str(error) for full in (errno.ENOSPC, errno.EDQUOT)):
        return (
            f"there is no space for {what} in the cache {cache}; free some, or set HF_HOME to a"
            " folder on a larger disk."
        )
    if isinstance(error, OSError) and error.filename is not None:
        return (
            f"{what} cannot be written to the cache {cache} ({error.strerror}); set HF_HOME to a"
            " writable folder."
        )
    reason = (str(error) or repr(error)).splitlines()[0]
    return (
        f"{what} cannot be fetched from {url} ({reason}); check the network, or set"
        " HF_HUB_OFFLINE=1 to use the cache alone."
    )
