"""The order of the tests, fast ones first, and what all of them share."""

from pathlib import Path

import pytest
from hypothesis import settings

# Property tests try the same examples in every run and leave no files behind.
settings.register_profile("tests", derandomize=True, database=None, deadline=None)
settings.load_profile("tests")

_ORDER = (
    "test_oldest.py",
    "verdict",
    "reports",
    "fixtures",
    "evidence",
    "embedded",
    "benchmarks",
    # The longest not at the very end, where one worker would wait for the other.
    "test_end_to_end.py",
    "test_wheel.py",
    "plugin",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Arithmetic first, whole runs of the suite last."""
    here = Path(__file__).parent
    items.sort(key=lambda item: _ORDER.index(item.path.relative_to(here).parts[0]) if item.path.is_relative_to(here) else -1)
