"""Replaced fixtures: a project's fixture under a name of the suite's own would decide for it."""

import inspect
from typing import Any

import pytest

from spqr_tests.errors import InputError

_PREFIX = "spqr_"
_FIXTURE = type(pytest.fixture(lambda: None))


def refuse(config: pytest.Config) -> None:
    """Raise a usage error when a conftest or a plugin has replaced a fixture named `spqr_...`."""
    for plugin in config.pluginmanager.get_plugins():
        if not inspect.ismodule(plugin):
            continue
        for name, value in vars(plugin).items():
            if isinstance(value, _FIXTURE) and (sentence := _foreign(name, plugin.__name__)):
                raise pytest.UsageError(sentence.format(where=plugin.__file__))


def refuse_one(definition: "pytest.FixtureDef[Any]") -> None:
    """Raise `InputError` when this fixture replaces one of the suite's.

    It finds what `refuse` does not: a conftest that is read later, and a name that is given in
    `pytest.fixture(name=...)`.
    """
    function = definition.func
    if sentence := _foreign(definition.argname, getattr(function, "__module__", None) or ""):
        raise InputError(sentence.format(where=inspect.getsourcefile(function)))


def _foreign(name: str, module: str) -> str:
    """A sentence, without `{where}`, when a fixture has a name of the suite's and is not its own.

    Else ''.
    """
    if not name.startswith(_PREFIX) or module.partition(".")[0] == "spqr_fixtures":
        return ""
    return (
        f"The fixture {name} in {{where}} would replace one of the suite's, so that nothing would"
        f" be measured: names that begin with {_PREFIX} belong to the suite; choose another."
    )
