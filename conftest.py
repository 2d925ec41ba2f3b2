"""Explains what is missing when pytest is started in a checkout that is not installed."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to run without the entry point: there would be no options and no fixtures."""
    if not config.pluginmanager.has_plugin("spqr"):
        raise pytest.UsageError(
            "The suite is not installed in this environment: run `pip install -e .` here first."
        )
