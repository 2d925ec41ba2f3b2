"""Reports of real runs: the ten embedded variants, without the parts that no table shows."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import kept_reports
from benchmarks.numbers import DOCS
from spqr_tests.__main__ import main

HOSTILE = {
    "tag": "<script>alert(1)</script>",
    "closing": "</title></svg><img src=x onerror=alert(1)>",
    "long": "a" * 5000,
    "right-to-left": "\u05e9\u05dc\u05d5\u05dd \u202eevil",
    "control": "x\x1b[31m\x07\x00y\x9b31m",
    "equals": "=cmd|' /C calc'!A0",
    "plus": "+1",
    "minus": "-1",
    "at": "@SUM(1)",
    "tab": "\t=1",
    "full width": "\uff1d1",
    "bar": "a|b \\| \\\\|c",
    "lines": "l1\nl2\r\nl3\u2028l4",
    "code": "`a` ``b",
    "latex": "\\input{/etc/passwd} $x^2$ %c & # _ ~ \"q\" 'r' -- [a]",
    "markdown": "*[b](http://x.y) @user <a@b.c> #1 ![i](j)",
    "nothing": "",
    "space": "  ",
}

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders `published` and `trainings`, each with a folder per variant."""
    folder = tmp_path_factory.mktemp("boards")
    for name, report in kept_reports.lines(DOCS / kept_reports.NAME):
        place = folder / name
        place.mkdir(parents=True)
        (place / "report.json").write_text(report, encoding="utf-8")
    return folder


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run `python -m spqr_tests`: the exit code, what it printed, and what it said of errors."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        code = main([str(one) for one in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def changed(boards: Path, tmp_path: Path) -> Callable[..., Path]:
    """A variant's report with other values, in a folder of its own."""

    def write(variant: str, name: str = "", **change: Any) -> Path:
        report = json.loads((boards / "published" / variant / "report.json").read_text("utf-8"))
        folder = tmp_path / (name or f"changed-{variant}")
        folder.mkdir()
        for key, value in change.items():
            report[key] = report[key] | value if isinstance(value, dict) else value
        (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
        return folder

    return write


@pytest.fixture
def hostile(boards: Path, tmp_path: Path) -> list[Path]:
    """Reports whose models, protocols and scenarios have names that nobody wants in a page."""
    folders = sorted((boards / "published").iterdir())
    made = []
    for number, name in enumerate(HOSTILE.values()):
        report = json.loads((folders[number % 10] / "report.json").read_text("utf-8"))
        report["model"] |= {"target": name, "fingerprint": f"{number:064x}"}
        report["protocol"]["name"] = name
        for cell in report["robustness"]:
            if cell["scenario"] == "artistic":
                cell["scenario"] = "<b>&|`=$_% \x1b[2J"
        made.append(tmp_path / f"{number}.json")
        made[-1].write_text(json.dumps(report), encoding="utf-8")
    return made
