"""The order of the tests, fast ones first, and what all of them share."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import thorough
from tests.tiny.fixtures import (
    backbone,
    base,
    benign_set,
    broken_pipeline,
    checkpoint,
    folder,
    pictures,
    pipeline,
    prompts,
    source,
    store,
)

__all__ = [
    "backbone",
    "base",
    "benign_set",
    "broken_pipeline",
    "checkpoint",
    "folder",
    "pictures",
    "pipeline",
    "prompts",
    "source",
    "store",
]

# pytest reads this file also in a run of the cases in this checkout (`pytest --model path`), where
# the extra `dev` need not be installed.
with contextlib.suppress(ModuleNotFoundError):
    from hypothesis import settings

    # Property tests try the same examples in every run and leave no files behind.
    settings.register_profile("tests", derandomize=True, database=None, deadline=None)
    settings.load_profile("tests")

BROWSER = Path(__file__).parent / "reports" / "html" / "browser"
"""Tests that need a browser, which is not a Python package."""
_ORDER = (
    "test_oldest.py",
    "test_floors.py",
    "test_quotes.py",
    "test_files.py",
    "test_container.py",
    "test_thorough.py",
    "test_packages.py",
    "verdict",
    "settings",
    "store",
    "reports",
    "axes",
    "run",
    "data",
    "checkpoint",
    "judging",
    "metrics",
    "generation",
    "planning",
    "testing",
    "examples",
    "execution",
    "embedded",
    "benchmarks",
    # The longest not at the very end, where one worker would wait for the other.
    "test_end_to_end.py",
    "test_wheel.py",
    "versions",
    "commands",
    "plugin",
)


@pytest.fixture(scope="session", autouse=True)
def _no_workflow() -> Iterator[None]:
    """Runs of the suite in a test say nothing on the page of the workflow that runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("GITHUB_ACTIONS", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "CI_PROJECT_DIR"):
            patch.delenv(name, raising=False)
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option without which no test needs a browser."""
    parser.addoption(
        "--in-browser",
        action="store_true",
        help="also run the tests of pages in a Chromium; they fail where there is none",
    )
    parser.addoption(
        "--thorough",
        action="store_true",
        help="also run the long tests whose claims shorter ones make too (tests/thorough.py)",
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """One thread a worker, and for the processes that it starts.

    Libraries take as many as there are cores, and those of two workers then wait for each other.
    """
    here = Path(__file__).parent
    if any(Path(one.partition("::")[0]).resolve().is_relative_to(here) for one in config.args):
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ.setdefault(name, "1")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the browser's tests out unless they are asked for; None leaves it to others."""
    asked = config.getoption("in_browser", default=False)
    return None if asked or collection_path != BROWSER else True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Arithmetic first, whole runs of the suite last; long tests only where they are asked for."""
    here = Path(__file__).parent
    named = any("::" in one for one in config.args)
    if not named and not config.getoption("thorough", default=False):
        items[:], left_out = thorough.split(items)
        if left_out:
            config.hook.pytest_deselected(items=left_out)

    def place(item: pytest.Item) -> int:
        if not item.path.is_relative_to(here):
            return -1
        return _ORDER.index(item.path.relative_to(here).parts[0])

    items.sort(key=place)
