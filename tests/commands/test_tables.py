"""docs/tables.md: every command on it, as it is written there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from spqr_tests.reports import frame
from tests.reports.conftest import Command, boards, command
from tests.reports.test_frame import image, write

__all__ = ["boards", "command"]

PAGE = (Path(__file__).parents[2] / "docs" / "tables.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    python -m spqr_tests (.+)$", PAGE, flags=re.MULTILINE)
FOLDERS = {
    "uce": "published/uce",
    "rece": "published/rece",
    "esd-u": "published/esd-u",
    "uce-3-trainings": "trainings/uce",
    "rece-3-trainings": "trainings/rece",
    "v1": "published/esd-u",
    "v2": "published/esd-x",
    "v3": "published/uce",
    "quick": "published/rece",
}


@pytest.fixture
def project(boards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the reports that the page names; `v1` and `v2` decide single categories."""
    for name, source in FOLDERS.items():
        folder = tmp_path / "reports" / name
        folder.mkdir(parents=True)
        (folder / "report.json").write_bytes((boards / source / "report.json").read_bytes())
    sample = Path(__file__).parents[2] / "docs" / "sample-report.json"
    (tmp_path / "reports" / "v1" / "report.json").write_bytes(sample.read_bytes())
    quick = tmp_path / "reports" / "quick" / "report.json"
    quick.write_text(quick.read_text("utf-8").replace('"limit": null', '"limit": 20'), "utf-8")
    write(tmp_path / "reports" / "v1", [image(), image(row=1)])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_shows_every_command() -> None:
    assert len(COMMANDS) >= 15
    assert {line.split()[0] for line in COMMANDS} == {"leaderboard", "history", "frame", "export"}


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_page_does_what_it_says(
    project: Path, command: Command, line: str
) -> None:
    arguments = shlex.split(line)
    code, out, error = command(*arguments)
    assert (code, error) == (0, "")
    if "--output" in arguments:
        written = project / arguments[arguments.index("--output") + 1]
        assert (out, written.stat().st_size > 50) == ("", True)
    else:
        assert out.count("\n") > 10


def test_what_the_page_refuses_is_refused(project: Path, command: Command) -> None:
    code, _, error = command("leaderboard", "reports/uce", "reports/quick")
    assert (code, (project / "leaderboard.html").exists()) == (4, False)
    assert "limited to 20 prompts a set" in error


def test_the_example_in_python_runs(project: Path, command: Command) -> None:
    [line] = [one for one in COMMANDS if one.endswith("measurements.parquet")]
    assert command(*shlex.split(line))[0] == 0
    [example] = re.findall(r"```python\n(.+?)```", PAGE, flags=re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=project, capture_output=True, text=True, check=True
    )
    assert "standard" in done.stdout
    assert "0.716667" in done.stdout


def test_the_page_names_every_column() -> None:
    [table] = re.findall(r"^\| columns \|.+?\n\n", PAGE, flags=re.MULTILINE | re.DOTALL)
    named = re.findall(
        r"`(\w+)`", "\n".join(row.split("|")[1] for row in table.strip().splitlines())
    )
    assert named == list(frame.MEASUREMENTS)


def test_no_command_waits_for_torch(project: Path) -> None:
    lines = [shlex.split(line) for line in COMMANDS]
    code = (
        "import sys; from spqr_tests.__main__ import main;"
        f" codes = [main(line) for line in {lines!r}];"
        " print(codes, {'torch', 'diffusers', 'transformers', 'scipy.stats'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == f"{[0] * len(lines)} set()"
