"""A Chromium that is installed on this machine, driven without a network."""

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from spqr_tests.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def started() -> "Iterator[Browser]":
    """The browser that the variable CHROMIUM names, or the first one there is.

    `InputError` where there is none.
    """
    # The tests of docs/ import what takes screenshots, also where no browser is driven.
    from playwright.sync_api import sync_playwright

    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        raise InputError(
            "There is no Chromium on this machine: install one (apt-get install chromium), or name"
            " it in the variable CHROMIUM."
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(_ARGUMENTS))
        yield browser
        browser.close()
