"""The long tests that are left out are tests of this tree."""

import ast
from pathlib import Path

import pytest

from tests.thorough import LONG, is_long

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("path", LONG)
def test_what_is_left_out_is_there(path: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    there = {
        f"{outer}{one.name}"
        for node in tree.body
        for outer, nodes in (
            (f"{node.name}::", node.body) if isinstance(node, ast.ClassDef) else ("", [node]),
        )
        for one in nodes
        if isinstance(one, ast.FunctionDef)
    }
    assert LONG[path]
    assert {name.partition("[")[0] for name in LONG[path]} <= there


@pytest.mark.parametrize("path", LONG)
def test_something_of_each_file_is_always_run(path: str, request: pytest.FixtureRequest) -> None:
    collected = [
        item.nodeid for item in request.session.items if item.nodeid.startswith(f"{path}::")
    ]
    assert not collected or any(not is_long(one) for one in collected)


@pytest.mark.parametrize("path", LONG)
def test_parameters_are_those_of_the_test(path: str, request: pytest.FixtureRequest) -> None:
    """Where they were collected: a renamed parameter would run by itself again."""
    collected = {
        item.nodeid.partition("::")[2]
        for item in request.session.items
        if item.nodeid.startswith(f"{path}::")
    }
    if request.config.getoption("thorough") and any("[" in one for one in collected):
        assert set(LONG[path]) <= collected
