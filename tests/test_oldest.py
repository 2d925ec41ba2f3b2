"""The versions that `tox -e oldest` installs are the lower bounds that pyproject.toml states."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

TESTS = Path(__file__).parent
# The tools that build and check the sources: tests use them as they are.
TOOLS = {
    "axe-playwright-python",
    "check-jsonschema",
    "ipykernel",
    "mypy",
    "nbclient",
    "playwright",
    "pre-commit",
    "pytest-cov",
    "ruff",
    "setuptools",
    "torchao",
    "tox",
}


def _bounds(requirements: list[str], operator: str) -> dict[str, Version]:
    parsed = [Requirement(line) for line in requirements]
    return {
        canonicalize_name(one.name): Version(bound.version)
        for one in parsed
        for bound in one.specifier
        if bound.operator == operator
    }


def test_the_oldest_versions_are_the_lower_bounds() -> None:
    project = tomllib.loads((TESTS.parent / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    lines = (TESTS / "oldest.txt").read_text(encoding="utf-8").splitlines()
    stated = _bounds(project["dependencies"] + project["optional-dependencies"]["dev"], ">=")
    assert _bounds([line for line in lines if not line.startswith("#")], "==") == {
        name: bound for name, bound in stated.items() if name not in TOOLS
    }
