"""Where things are kept that no protocol names: the store."""

import os
from pathlib import Path

import platformdirs

from spqr_tests import files
from spqr_tests.errors import InputError


def store(where: Path, asked: str | None, option: str = "--spqr-store") -> Path:
    """The store's folder: as `option` says, `$SPQR_STORE`, or in the user's cache.

    `InputError` when none of them says where.
    """
    named = asked or os.environ.get("SPQR_STORE")
    if named:
        return files.place(named, where, option if asked else "SPQR_STORE")
    try:
        return platformdirs.user_cache_path("spqr-tests").expanduser() / "store"
    except RuntimeError as error:  # of platformdirs, or of what its older versions return
        raise InputError(
            "Evidence is kept in the user's cache folder, and this machine knows no home folder for"
            f" this user: pass {option} DIR, or set SPQR_STORE."
        ) from error
