"""The exit code: the run has the last word on it, whatever else is installed or configured.

A hook may set pytest's exit status after the report is made, end the session before, or turn the
run into one of pytest's commands that run no test. None of that may look like a pass.
"""

import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from spqr_tests import quotes
from spqr_tests.plugin import options

if TYPE_CHECKING:
    from spqr_tests.plugin.suite import Suite

_RUN_NOTHING = {
    "collectonly": "--collect-only",
    "help": "--help",
    "version": "--version",
    "showfixtures": "--fixtures",
    "show_fixtures_per_test": "--fixtures-per-test",
    "markers": "--markers",
    "cacheshow": "--cache-show",
    "spqr_plan": "--spqr-plan",
    "spqr_shard": "--spqr-shard",
}
"""Options with which nothing is measured, by the name under which pytest keeps them."""
_BROKEN = 3
SUITE: "pytest.StashKey[Suite]" = pytest.StashKey()


def is_wanted(config: pytest.Config) -> bool:
    """Whether the command line names a model, even where a plugin has made pytest forget it.

    With `--help` in addopts, pytest itself reads no further.
    """
    typed = config.stash.get(options.TYPED, None)
    return config.option.spqr_model is not None or getattr(typed, "spqr_model", None) is not None


def no_exit(
    config: pytest.Config, loading: Generator[None, None, None]
) -> Generator[None, None, None]:
    """Load the initial conftests, of which none may end a run with a model."""
    given = [str(one).partition("=")[0] for one in config.invocation_params.args]
    try:
        yield from loading
    except SystemExit as error:
        if not {"--model", "--spqr-model"} & set(given):
            raise
        raise pytest.UsageError(
            f"A conftest or a plugin ended pytest while it was read (exit code"
            f" {quotes.cut(quotes.line(str(error.code)))}), and"
            " nothing would be measured: remove that, or start the run in another folder."
        ) from error


def nothing_is_asked_for(config: pytest.Config) -> bool:
    """Whether the command line itself asks for something that measures nothing."""
    typed = config.stash.get(options.TYPED, None)
    return any(getattr(typed, name, False) for name in _RUN_NOTHING)


def refuse_unasked(config: pytest.Config) -> None:
    """Raise a usage error for such an option in addopts, in PYTEST_ADDOPTS or of a plugin."""
    typed = config.stash.get(options.TYPED, None)
    for name, option in _RUN_NOTHING.items():
        if getattr(config.option, name, False) and not getattr(typed, name, False):
            raise pytest.UsageError(
                f"{option} comes from addopts, PYTEST_ADDOPTS or a plugin, and nothing would be"
                " measured: remove it there, or pass it on the command line if that is meant."
            )


def register(config: pytest.Config, plugin: object, name: str) -> None:
    """Register a plugin without which nothing is decided; a usage error where it is blocked."""
    if config.pluginmanager.register(plugin, name) is None:
        raise pytest.UsageError(
            f"The plugin {name} is blocked (-p no:{name}), and nothing would be decided: remove"
            " that, or run without --model."
        )


def have(config: pytest.Config) -> Generator[None, Any, Any]:
    """Run pytest, and give the run's own exit code: never 0 unless the run says so."""
    refuse_unasked(config)
    left: SystemExit | None = None
    try:
        ended = yield
    except pytest.UsageError as error:
        # Pytest's own sentences hold names as they are.
        raise pytest.UsageError(*(quotes.lines(str(one)) for one in error.args)) from error
    except SystemExit as error:
        left = error
        ended = 0 if error.code in (None, 0) else 1
    if ended != 0 or nothing_is_asked_for(config):
        if left is not None:
            raise left
        own = _own(config)
        return own or ended
    own = _own(config)
    if own is None:
        _say("Nothing was decided: something ended pytest before the run did.")
        return _BROKEN
    if own != 0:
        _say(f"Something set the exit status to 0 after the run, which exits with {own}.")
    return own


def _own(config: pytest.Config) -> int | None:
    suite = config.stash.get(SUITE, None)
    return None if suite is None else suite.exit_code


def _say(sentence: str) -> None:
    sys.stderr.write(f"\nERROR: {sentence}\n")
