"""Fixtures: a distribution that registers a judge."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installing import on_path
from tests.judging.judges.registering import JUDGE, install


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with an installed distribution that registers the judge."""
    folder = tmp_path / "site"
    install(folder, "red-judges")
    (folder / "red_judges.py").write_text(JUDGE, encoding="utf-8")
    return folder


@pytest.fixture
def installed(site: Path) -> Iterator[Path]:
    """The site, on this process's path."""
    with on_path(site):
        yield site
