"""A path may hold anything: no command obeys it, or lets a terminal obey it."""

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from spqr_tests import quotes
from spqr_tests.__main__ import main, parser
from spqr_tests.store import manifests
from spqr_tests.store.store import Store
from tests.reports.audits import audited
from tests.reports.reported import hidden

NAME = "a\x1b[31m\u202e\n::error::b"
SHOWN = r"a\x1b[31m\u202e\n::error::b"
PLACES = {"REPORT", "FILE", "DIR", "archive"}
"""What a command calls a path."""
BASE = {
    "audit": ("{report}", "--store={store}", "--output={out}"),
    "export": ("{report}", "--format=badge"),
    "frame": ("{report}",),
    "history": ("{report}",),
    "leaderboard": ("{report}",),
    "report": ("{report}", "--output={out}"),
    "store list": ("--store={store}",),
    "store verify": ("--store={store}",),
    "store prune": ("--store={store}", "--damaged"),
    "store export": ("--store={store}", f"--model={NAME}", "{out}"),
    "store import": ("--store={store}", "{out}"),
    "store reuse": (),
}
"""Each command with what it cannot do without."""


def commands(of: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.Action]]:
    """Every command, with each of its arguments."""
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            for part, inner in action.choices.items():
                yield from commands(inner, f"{name} {part}".strip())
        else:
            yield name, action


FOUND = [
    pytest.param(name, one, there, id=f"{name} {one.dest} {'there' if there else 'missing'}")
    for name, one in commands(parser())
    for there in (True, False)
    # What `reuse` finds is said by a run, in that run's own words.
    if {one.metavar, one.dest} & PLACES and name in BASE and not (there and name == "store reuse")
]


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Path]:
    """A report, a store, and a place for a file."""
    (tmp_path / "report").mkdir()
    made = audited(tmp_path / "report")
    return {"report": tmp_path / "report", "store": made.store, "out": tmp_path / "out"}


def test_every_command_is_tried() -> None:
    assert {name for name, _ in commands(parser())} == {*BASE, "", "store"}
    assert len(FOUND) >= 40


@pytest.mark.parametrize(("command", "action", "there"), FOUND)
def test_a_commands_path_is_not_obeyed(
    given: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
    command: str,
    action: argparse.Action,
    *,
    there: bool,
) -> None:
    path = given["out"].with_name(NAME)
    kind = {"reports": "report", "retrained": "report"}.get(action.dest, action.dest)
    if not there:
        path.touch()
        path /= "further"
    elif kind in ("report", "store"):
        shutil.copytree(given[kind], path)
    arguments = [one.format(**given) for one in BASE[command]]
    if not action.option_strings:
        place = 0 if kind == "report" else -1
        arguments[place] = str(path)
    elif action.dest == "labels":
        arguments[-1] = f"--labels={path}"
    else:
        arguments.append(f"{action.option_strings[0]}={path}")
    code = main([*command.split(), *arguments])
    printed = capsys.readouterr()
    assert code in (0, 1, 4)
    for text in (printed.out, printed.err):
        assert hidden(text) <= {"\n"}
        assert "\n::error" not in text
    assert there or code == 4
    assert there or SHOWN in printed.err


def test_what_a_store_holds_is_not_obeyed(
    given: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(given["store"], "a test")
    store.put_record("judgements", "ab" * 32, {"flagged": False})
    manifests.note(store, NAME, "a" * 64, f"{NAME} (123456789abc)")
    archive = tmp_path / NAME
    for what in (
        ("list",),
        ("export", "--model", NAME, str(archive)),
        ("import", str(archive)),
        ("prune", "--model", NAME, "--yes"),
    ):
        assert main(["store", "--store", str(given["store"]), *what]) == 0
        printed = capsys.readouterr()
        assert hidden(printed.out + printed.err) == {"\n"}
        assert SHOWN in printed.out or what[0] == "import"


def test_an_argument_that_no_command_has(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["frame", "report", f"--{NAME}"])
    said = capsys.readouterr().err
    assert f"unrecognized arguments: --{SHOWN}" in said
    assert hidden(said) == {"\n"}


def test_a_line_is_shown_once() -> None:
    assert quotes.line(NAME) == SHOWN
    assert quotes.line(SHOWN) == SHOWN
