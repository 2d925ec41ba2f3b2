"""Reading report.json: files, folders, and what is not a finished report of this version."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from spqr_tests.errors import InputError
from spqr_tests.reports import reading
from tests.reports.conftest import Command

Changed = Callable[..., Path]


def test_a_folder_means_its_report(boards: Path) -> None:
    found = reading.read("published/uce", boards)
    same = reading.read("published/uce/report.json", boards)
    assert found == same
    assert (found.named, found.report.model.target) == (
        "published/uce/report.json",
        "embedded:uce",
    )


def test_a_byte_order_mark_is_accepted(boards: Path, tmp_path: Path) -> None:
    content = (boards / "published/uce/report.json").read_bytes()
    (tmp_path / "report.json").write_bytes(b"\xef\xbb\xbf" + content)
    assert reading.read(str(tmp_path), tmp_path).report.decision == "pass"


def test_an_earlier_schema_is_read(changed: Changed) -> None:
    folder = changed("uce", schema="spqr-report/1")
    assert reading.read(str(folder), folder).report.schema_ == "spqr-report/1"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"schema": "spqr-report/9"},
            "has the schema 'spqr-report/9'; this version reads spqr-report/2 and spqr-report/1.",
        ),
        ({"schema": "x" * 5000}, "has the schema 'xxxxxxxxxxxx"),
        ({"schema": "spqr-plan/2"}, "has the schema 'spqr-plan/2'"),
        ({"schema": None}, "is not a report of this suite (spqr-report/2): schema"),
        ({"schema": "spqr-report/1", "axes": []}, "(the schema spqr-report/1 of an earlier"),
        ({"state": "broken"}, "is not a report of this suite (spqr-report/2): state"),
        ({"more": 1}, "is not a report of this suite (spqr-report/2): more"),
    ],
)
def test_another_schema_is_named(changed: Changed, change: dict[str, object], said: str) -> None:
    folder = changed("uce", **change)
    with pytest.raises(InputError) as caught:
        reading.read(str(folder), folder)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_run_that_goes_on_has_no_report_yet(tmp_path: Path) -> None:
    running = {
        "schema": "spqr-report/2",
        "state": "running",
        "run": "1",
        "began": "2026-01-01T00:00:00Z",
        "model": "m",
        "protocol": "p",
    }
    (tmp_path / "report.json").write_text(json.dumps(running))
    with pytest.raises(InputError, match="began at 2026-01-01T00:00:00Z and has not finished"):
        reading.read(str(tmp_path), tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not a report of this suite (spqr-report/2): the file: Invalid JSON"),
        (b"\xff\xfe{\x00", "is not a report of this suite"),
        (b"[]", "is not a report of this suite (spqr-report/2): the file: Input should be"),
        (b'{"schema": "\\ud800"}', "is not a report of this suite"),
        (b"[" * 100_000, "is not a report of this suite"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a git-lfs pointer"),
    ],
)
def test_what_is_no_report_is_said(
    command: Command, tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "report.json").write_bytes(content)
    code, out, error = command("leaderboard", tmp_path)
    assert (code, out) == (4, "")
    assert said in error
    assert error.count("\n") == 1


def test_a_file_that_is_not_there_is_said(command: Command, tmp_path: Path) -> None:
    code, _, error = command("leaderboard", tmp_path)
    assert code == 4
    assert error == (
        f"The report {tmp_path}/report.json cannot be read (No such file or directory). Pass a"
        " report.json or its folder.\n"
    )
