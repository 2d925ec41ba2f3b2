"""What a pipeline's viewers read, as plugins that `-p no:NAME` leaves out."""

import os
from typing import TYPE_CHECKING

import pytest

from spqr_tests.plugin import github, junit, last_word

if TYPE_CHECKING:
    from spqr_tests.plugin.suite import Suite


def register(config: pytest.Config, suite: "Suite") -> None:
    """Register those that this session is asked for, on the controller."""
    if hasattr(config, "workerinput") or last_word.nothing_is_asked_for(config):
        return
    add = config.pluginmanager.register
    if path := getattr(config.option, "xmlpath", None):
        add(junit.JUnit(suite, path, os.environ), junit.NAME)
    if github.GitHub.is_wanted(os.environ):
        add(github.GitHub(suite, os.environ), github.NAME)
