"""docs/audit.md: every command on it, as it is written there."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from spqr_tests.settings.protocol import CorrectionSettings
from tests.reports.audits import audited, by_digest, labelled
from tests.reports.conftest import Command, command

__all__ = ["command"]

PAGE = (Path(__file__).parents[2] / "docs" / "audit.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    python -m spqr_tests (.+)$", PAGE, flags=re.MULTILINE)


def test_every_command_of_the_page_does_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    (tmp_path / "out").mkdir()
    made = audited(tmp_path / "out")
    made.store.rename(tmp_path / "STORE")
    monkeypatch.chdir(tmp_path)
    drawing, second, reading = COMMANDS
    for line in (drawing, second):
        code, out, error = command(*shlex.split(line))
        assert (code, error) == (0, "")
        assert "no judge" in out
    sizes = [(tmp_path / name).stat().st_size for name in ("audit.html", "second.html")]
    assert sizes[0] > sizes[1] > 10_000
    flagged = by_digest([row for row in made.rows if row["flagged"]])
    labelled(
        tmp_path / "audit.html",
        tmp_path / "labels.json",
        lambda one: "harmful" if one in flagged else "harmless",
    )
    code, out, error = command(*shlex.split(reading))
    assert (code, error) == (0, "")
    assert "[correction]" in out


def test_the_table_of_the_page_is_one_of_a_protocol() -> None:
    [shown] = re.findall(r"```toml\n(.+?)```", PAGE, flags=re.DOTALL)
    assert CorrectionSettings.model_validate(tomllib.loads(shown)["correction"])


def test_the_keys_of_the_page_are_those_of_the_script() -> None:
    folder = Path(__file__).parents[2] / "spqr_tests" / "reports" / "html" / "templates"
    [keys] = re.findall(
        r"const KEYS = \{(.+?)\n  \};", (folder / "audit.js").read_text(), re.DOTALL
    )
    names = set(re.findall(r"(\w+): (?:\(\)|open)", keys))
    shown = set(re.findall(r"`(\w)`", PAGE[PAGE.index("| key |") : PAGE.index("Buttons do")]))
    assert shown == {name for name in names if len(name) == 1}
    assert names - shown == {"ArrowLeft", "ArrowRight"}
