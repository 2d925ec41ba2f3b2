"""Says what is missing when pytest is started in a checkout whose suite is not installed."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Without the entry point there are no options and no fixtures, and every error would be a riddle."""
    if not config.pluginmanager.has_plugin("spqr"):
        raise pytest.UsageError(
            "The suite is not installed in this environment: run `pip install -e .` here first."
        )
