"""The rooms of spqr_tests stand on floors: a module imports only from its own room and from below.

CONTRIBUTING.md has the map; the imports are read from the tree itself.
"""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
FLOORS = (
    ("quotes",),
    ("errors",),
    ("files", "packages"),
    ("verdict",),
    ("settings", "store"),
    ("data", "checkpoint"),
    ("generation",),
    ("metrics",),
    ("judging",),
    ("run",),
    ("axes", "reports"),
    ("execution", "planning", "versions"),
    ("plugin", "commands", "measuring", "testing"),
    ("__main__",),
)
"""Bottom up; rooms of one floor do not import each other."""
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# `evidence` re-exports names that were published from it.
OUTSIDE = {"evidence"}
SUITE, FIXTURES, BENCHMARKS = "spqr_tests", "spqr_fixtures", "benchmarks"
FOLDERS = {SUITE: "spqr_tests", FIXTURES: "fixtures", BENCHMARKS: "benchmarks"}


def imported(path: Path, package: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above, node.module] if node.module else above)
            start = (node.module or "") if node.level == 0 else base
            yield from ((node.lineno, f"{start}.{alias.name}") for alias in node.names)


def modules(package: str) -> Iterator[tuple[Path, str]]:
    """Every file of a package, with the dotted name of the package that holds it."""
    folder = CHECKOUT / FOLDERS[package]
    for path in sorted(folder.rglob("*.py")):
        yield path, ".".join([package, *path.relative_to(folder).parts[:-1]])


def room(dotted: str) -> str | None:
    """The room of a dotted name of the suite; None for the package itself and for its cases."""
    parts = dotted.split(".")
    found = parts[1] if parts[0] == SUITE and len(parts) > 1 else None
    return None if found is None or found.startswith("test_") else found


def runs_up(package: str, why: Callable[[Path, str], str | None]) -> list[str]:
    """A sentence for each import of the package for which `why` has a reason against it."""
    return [
        f"{path.relative_to(CHECKOUT)}:{line} imports {name}: {reason}"
        for path, holder in modules(package)
        for line, name in imported(path, holder)
        if (reason := why(path, name)) is not None
    ]


def test_every_room_has_a_floor() -> None:
    folder = CHECKOUT / FOLDERS[SUITE]
    found = {path.name for path in folder.iterdir() if (path / "__init__.py").is_file()}
    found |= {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert {name for name in found if not name.startswith("test_")} - OUTSIDE == set(FLOOR)


def test_a_room_imports_from_below() -> None:
    def why(path: Path, name: str) -> str | None:
        here = path.relative_to(CHECKOUT / FOLDERS[SUITE]).parts[0].removesuffix(".py")
        there = room(name)
        if here in OUTSIDE or here.startswith(("test_", "__init__")) or there in (None, here):
            return None
        if there not in FLOOR:
            return f"{there} is not a room"
        if FLOOR[there] < FLOOR[here]:
            return None
        return f"{there} is not below {here}"

    assert runs_up(SUITE, why) == []


def test_what_ships_is_imported_by_the_plugin_alone() -> None:
    def why(path: Path, name: str) -> str | None:
        own = path.relative_to(CHECKOUT).parts[1] == "plugin"
        return None if own or not name.startswith(FIXTURES) else "only plugin/ may"

    assert runs_up(SUITE, why) == []


def test_fixtures_and_benchmarks_do_without_the_plugin() -> None:
    def why(_: Path, name: str) -> str | None:
        return "only pytest loads plugin/" if room(name) == "plugin" else None

    def thin(path: Path, name: str) -> str | None:
        above = room(name) == "reports"
        return "fixtures measure and decide, they do not report" if above else why(path, name)

    assert runs_up(FIXTURES, thin) == []
    assert runs_up(BENCHMARKS, why) == []


@pytest.mark.parametrize("library", ["pytest", "_pytest"])
def test_pytest_is_imported_by_the_plugin_by_fixtures_and_by_cases_alone(library: str) -> None:
    """But for types, which cost nothing when the suite is used without it."""

    def why(path: Path, name: str) -> str | None:
        parts = path.relative_to(CHECKOUT / FOLDERS[SUITE]).parts
        if parts[0] in ("plugin", "testing") or parts[0].startswith("test_"):
            return None
        text = path.read_text(encoding="utf-8")
        typed = f"if TYPE_CHECKING:\n    import {library}" in text
        return None if name.split(".", 1)[0] != library or typed else "only plugin/ and testing/"

    assert runs_up(SUITE, why) == []


@pytest.fixture(scope="module")
def contributing() -> str:
    return (CHECKOUT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_map_in_contributing_has_these_floors(contributing: str) -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)(?:/|\.py)`", contributing, flags=re.MULTILINE)
    assert {name: int(floor) - 1 for floor, name in rows} == FLOOR


def _cells(lines: list[str], column: int) -> list[str]:
    """What a column of a table has in backquotes, or without them."""
    rows = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    # The header and the line below it.
    return [row[column].strip().strip("`") for row in rows[2:]]


def test_what_contributing_names_is_there(contributing: str) -> None:
    """The way of one number, in at most 16 files, and the places of the stranger's test."""
    sections = {
        heading: text.splitlines()
        for heading, text in re.findall(r"^### (.+)$([^#]+)", contributing, flags=re.MULTILINE)
    }
    way = _cells(sections["One number's way"], 1)
    places = _cells(sections["The stranger's test"], 1)
    assert len(way) <= 16
    assert len(places) == 10
    named = [name if name.startswith("fixtures/") else f"spqr_tests/{name}" for name in way]
    missing = [
        name
        for name in (*named, *(f"spqr_tests/{place}" for place in places))
        if not (CHECKOUT / name).exists()
    ]
    assert missing == []


def test_no_file_is_too_long_to_read() -> None:
    long = {
        str(path.relative_to(CHECKOUT)): lines
        for folder in (*FOLDERS.values(), "tests")
        for path in (CHECKOUT / folder).rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 400
    }
    assert long == {}
