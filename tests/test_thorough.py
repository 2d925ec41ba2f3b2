"""The long tests that are left out are tests of this tree."""

import ast
from importlib import import_module
from operator import attrgetter
from pathlib import Path

import pytest

from tests.always import ALWAYS
from tests.thorough import LONG, is_long

ROOT = Path(__file__).parents[1]
NAMES = {path: (*LONG.get(path, ()), *ALWAYS.get(path, {})) for path in sorted({*LONG, *ALWAYS})}


@pytest.mark.parametrize("path", NAMES)
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
    assert NAMES[path]
    left = {name.partition("[")[0] for name in NAMES[path]} - there
    # A class's own tests are there; for those that it inherits, its module is imported.
    if left:
        module = import_module(path.removesuffix(".py").replace("/", "."))
        for name in left:
            assert attrgetter(name.replace("::", "."))(module), name


@pytest.mark.parametrize("path", NAMES)
def test_something_of_each_file_is_always_run(path: str, request: pytest.FixtureRequest) -> None:
    collected = [
        item.nodeid for item in request.session.items if item.nodeid.startswith(f"{path}::")
    ]
    assert not collected or any(not is_long(one) for one in collected)


@pytest.mark.parametrize("path", NAMES)
def test_parameters_are_those_of_the_test(path: str, request: pytest.FixtureRequest) -> None:
    """Where they were collected: a renamed parameter would run by itself again."""
    collected = {
        item.nodeid.partition("::")[2]
        for item in request.session.items
        if item.nodeid.startswith(f"{path}::")
    }
    always = {
        f"{function}[{one}]" for function, kept in ALWAYS.get(path, {}).items() for one in kept
    }
    if any("[" in one for one in collected):
        assert {
            one for one in always if one.partition("[")[0] in _functions(collected)
        } <= collected
        if request.config.getoption("thorough"):
            assert set(LONG.get(path, ())) <= collected


def _functions(names: set[str]) -> set[str]:
    return {one.partition("[")[0] for one in names}
