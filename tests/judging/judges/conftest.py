"""Fixtures: a distribution that registers a judge."""

from pathlib import Path

import pytest

from tests.judging.judges.registering import JUDGE, install


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with an installed distribution that registers the judge."""
    folder = tmp_path / "site"
    install(folder, "red-judges")
    (folder / "red_judges.py").write_text(JUDGE, encoding="utf-8")
    return folder


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The site, on this process's path."""
    monkeypatch.syspath_prepend(site)
    return site
