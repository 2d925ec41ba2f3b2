"""The Dockerfile, as far as it can be checked without Docker."""

import re
import shlex
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.running import CHECKOUT

PAGE = CHECKOUT / "docs" / "install.md"


def instructions() -> list[tuple[str, str]]:
    text = (CHECKOUT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = (line.strip() for line in text.splitlines())
    return [
        (word.upper(), rest.strip())
        for word, _, rest in (one.partition(" ") for one in lines if one and one[0] != "#")
    ]


def test_what_is_copied_is_there_and_not_ignored() -> None:
    ignored = (CHECKOUT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[0] == "*"
    kept = {one[1:] for one in ignored if one.startswith("!")}
    copied = {
        name for word, rest in instructions() if word == "COPY" for name in shlex.split(rest)[:-1]
    }
    assert copied == kept
    assert all((CHECKOUT / name).exists() for name in copied)
    # Setuptools reads these from pyproject.toml, and would fail without them.
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    needed = {project["project"]["readme"], *project["project"]["license-files"]}
    needed |= set(project["tool"]["setuptools"]["package-dir"].values())
    assert needed <= copied
    # fixtures/ holds it as a link.
    assert "thresholds.toml" in copied


def test_it_runs_as_nobody_special_and_keeps_its_store() -> None:
    found = instructions()
    words = [word for word, _ in found]
    assert words[0] == "FROM"
    assert words.index("USER") < words.index("ENTRYPOINT")
    assert ("VOLUME", "/store") in found
    assert ("ENV", "SPQR_STORE=/store") in found
    (entry,) = (rest for word, rest in found if word == "ENTRYPOINT")
    assert entry.startswith('["python", "-m", "pytest"')
    assert {"FROM", "ARG", "RUN", "COPY", "USER", "ENV", "VOLUME", "WORKDIR", "ENTRYPOINT"} == set(
        words
    )


@pytest.mark.parametrize("file", [CHECKOUT / "Dockerfile", PAGE], ids=lambda file: file.name)
def test_what_pip_is_asked_for_fits_the_project(file: Path) -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (torch,) = (one for one in project["dependencies"] if one.startswith("torch>"))
    text = file.read_text(encoding="utf-8")
    for stated in re.findall(r'"(torch[^"]*)"', text):
        assert stated == torch
    # torch from one index without torchvision would be a mixed pair.
    for line in text.splitlines():
        if "pip install" in line and "torch" in line and not fnmatch(line, "*--torch-backend*"):
            assert "torchvision" in line, line


def test_the_page_lists_every_extra() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(project["optional-dependencies"])
