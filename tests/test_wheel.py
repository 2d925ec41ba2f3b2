"""What is published: the source distribution is the tree, and the wheel made of it runs."""

import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from spqr_fixtures.embedded import weights
from tests.running import CHECKOUT, clean_copy, start

NOT_IN_IT = (".ci/", ".git", ".pre-commit", "build/", "spqr_tests.egg-info/")
"""What belongs to the repository alone, and what building leaves."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the source distribution, and with the wheel that was made of it."""
    folder = tmp_path_factory.mktemp("wheel")
    # From a copy: setuptools builds in its source tree.
    source = clean_copy(folder / "source")
    command = [
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        "--outdir",
        str(folder),
        str(source),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def unpacked(built: Path) -> Path:
    """The wheel's content, as an installer would lay it out."""
    [wheel] = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(built / "site")  # noqa: S202  our own zip file
    return built / "site"


def test_the_source_distribution_is_the_whole_tree(built: Path) -> None:
    [archive] = built.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        found = {name.partition("/")[2] for name in file.getnames() if "/" in name}
    source = built / "source"
    tree = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.is_file() and not path.relative_to(source).as_posix().startswith(NOT_IN_IT)
    }
    assert tree - found == set()


def test_the_metadata_is_what_an_index_shows(unpacked: Path) -> None:
    [text] = unpacked.glob("*.dist-info/METADATA")
    metadata = Parser().parsestr(text.read_text(encoding="utf-8"))
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Author"] or metadata["Author-email"]
    assert "concept erasure" in metadata["Keywords"]
    assert metadata.get_payload() == (CHECKOUT / "README.md").read_text(encoding="utf-8")


def test_holds_the_data(unpacked: Path) -> None:
    packaged = unpacked / "spqr_fixtures"
    for folder in ("protocols", "prompts"):
        here = {path.name for path in (CHECKOUT / "fixtures" / folder).iterdir()}
        assert {path.name for path in (packaged / folder).iterdir()} == here
    templates = Path("spqr_tests", "reports", "html", "templates")
    here = {path.name for path in (CHECKOUT / templates).iterdir()}
    assert {path.name for path in (unpacked / templates).iterdir()} == here
    shipped = {
        path.relative_to(weights.WEIGHTS) for path in weights.WEIGHTS.rglob("*") if path.is_file()
    }
    here = packaged / "embedded" / "weights"
    assert {path.relative_to(here) for path in here.rglob("*") if path.is_file()} == shipped
    suite = CHECKOUT / "spqr_tests"
    data = {
        path.relative_to(suite)
        for path in suite.rglob("*.*")
        if path.suffix not in (".py", ".pyc") and path.is_file()
    }
    assert Path("reports/leaderboard/published.toml") in data
    assert {one for one in data if not (unpacked / "spqr_tests" / one).is_file()} == set()
    assert (packaged / "thresholds.toml").read_text() == (CHECKOUT / "thresholds.toml").read_text()


def test_holds_every_module(unpacked: Path) -> None:
    for package, folder in (("spqr_tests", "spqr_tests"), ("spqr_fixtures", "fixtures")):
        here = {path.relative_to(CHECKOUT / folder) for path in (CHECKOUT / folder).rglob("*.py")}
        assert {
            path.relative_to(unpacked / package) for path in (unpacked / package).rglob("*.py")
        } == here


def test_runs_in_an_empty_folder(unpacked: Path, tmp_path: Path) -> None:
    finished = start(
        "--model=embedded:uce",
        "--collect-only",
        cwd=tmp_path,
        PYTHONPATH=str(unpacked),
        forked=False,  # a fork has imported the suite of this tree
        SPQR_STORE=str(tmp_path / "store"),
    )
    assert finished.code == 0, finished.output
    assert f"thresholds: {unpacked}" in finished.output
    assert "test_the_four_axes_hold_together[standard-general]" in finished.output
