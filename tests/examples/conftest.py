"""Fixtures: the example packages, built and installed into a folder of their own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installing import on_path
from tests.running import CHECKOUT

EXAMPLES = ("backbone", "judge", "prompt_layout", "protocol")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the packages are installed, by pip and without a network; read only."""
    folder = tmp_path_factory.mktemp("examples")
    # From copies: setuptools builds in its source tree.
    sources = [
        shutil.copytree(CHECKOUT / "examples" / name, folder / name, dirs_exist_ok=True)
        for name in EXAMPLES
    ]
    flags = "--quiet --no-index --no-deps --no-build-isolation --no-compile --no-warn-conflicts"
    command = [sys.executable, "-m", "pip", "install", *flags.split()]
    done = subprocess.run(
        [*command, "--target", str(folder / "site"), *map(str, sources)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


@pytest.fixture
def installed(site: Path) -> Iterator[Path]:
    """That folder, on this process's path."""
    with on_path(site):
        yield site
