"""The fuzzing command: a few inputs a parser, and what it does with a finding."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import numbers
from benchmarks.fuzz import __main__ as fuzzing
from benchmarks.fuzz import child, mutation, parsers
from benchmarks.fuzz.__main__ import main
from benchmarks.fuzz.page import Fuzz
from benchmarks.fuzz.parsers import Parser
from benchmarks.fuzz.tally import Tally


@pytest.mark.parametrize("name", parsers.known())
def test_every_sample_is_a_file_of_its_kind(name: str, tmp_path: Path) -> None:
    tally, parser = Tally(), parsers.known()[name]
    for sample in parser.valid:
        assert parser.shape.whole(sample, parser.shape.parts(sample))
        child.checked(parser, sample, tmp_path, tally)
    assert tally.findings == []
    assert tally.read_whole + tally.refused == len(parser.valid)
    assert tally.read_whole


@pytest.mark.parametrize("name", parsers.known())
def test_a_few_inputs_are_read_or_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, whose memory stays as it is: to start one takes longer than to read."""
    monkeypatch.setattr(child, "_bound_memory", lambda: None)
    monkeypatch.setattr(child, "CHUNK", 60)
    child.main(name, 60, tmp_path)
    tally = Tally.read(tmp_path)
    assert tally.findings == []
    assert tally.read_whole + tally.refused == tally.inputs == 60


def test_the_command_reads_in_a_process_of_its_own_and_goes_on_where_it_was(
    tmp_path: Path,
) -> None:
    command = ["--parser", "toml", "--inputs", "60", "--out", str(tmp_path)]
    assert main(command) == 0
    tally = Tally.read(tmp_path / "hypothesis" / "toml")
    assert tally.read_whole + tally.refused >= 60
    # A second run has nothing left to do.
    assert main(command) == 0
    assert Tally.read(tmp_path / "hypothesis" / "toml") == tally


def test_the_page_is_of_the_tallies_of_both_engines(tmp_path: Path) -> None:
    for engine, name, inputs in (("atheris", "toml", 5), ("hypothesis", "toml", 7)):
        Tally(inputs, 2, inputs - 2, 0.123).write(tmp_path / engine / name)
    assert main(["--out", str(tmp_path), "--publish", str(tmp_path)]) == 0
    kept = numbers.read(Fuzz, tmp_path / "fuzz.json")
    assert [(row.engine, row.inputs, row.read) for row in kept.rows] == [
        ("hypothesis", 7, 2),
        ("atheris", 5, 2),
    ]
    text = (tmp_path / "fuzz.md").read_text(encoding="utf-8")
    assert "12 inputs were given" in text
    assert "| toml | atheris | 5 | 2 | 0.12 | 0 |" in text


def test_a_process_that_does_not_begin_is_no_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(SystemExit, match=r"^toml: the process ended before it read an input"):
        main(["--parser", "toml", "--inputs", "60", "--out", str(tmp_path)])
    assert Tally.read(tmp_path / "hypothesis" / "toml") == Tally()


@pytest.mark.parametrize("name", parsers.known())
def test_a_part_of_a_file_is_changed_and_the_file_made_right_around_it(name: str) -> None:
    parser = parsers.known()[name]
    for sample in parser.valid:
        assert mutation.of_part(parser, sample, 3, lambda part: part) == parser.shape.whole(
            sample, parser.shape.parts(sample)
        )
        assert mutation.of_part(parser, sample, 1, lambda part: part + b"x") != sample
    # A damaged file is changed as a whole.
    assert mutation.of_part(parser, b"PK\x89PNG", 0, lambda part: part + b"x").endswith(b"x")


def test_what_ends_otherwise_is_a_finding_and_its_input_is_kept(tmp_path: Path) -> None:
    def read(path: Path) -> None:
        raise KeyError(path.name)

    tally = Tally()
    for data in (b"a", b"b"):
        child.checked(Parser("a.txt", (b"",), read), data, tmp_path, tally)
    (finding,) = tally.findings
    assert finding.what.startswith("KeyError in test_fuzz.py")
    assert (tmp_path / "findings" / finding.input).read_bytes() == b"a"
    tally.write(tmp_path)
    assert Tally.read(tmp_path) == tally


@pytest.mark.parametrize(("reads", "hung"), [(True, True), (False, False)])
def test_a_process_hangs_at_an_input_and_not_while_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, reads: bool, hung: bool
) -> None:
    monkeypatch.setattr(fuzzing, "_HUNG", 0.5)
    # Left by an earlier process.
    (tmp_path / "input").mkdir()
    os.utime(tmp_path / "input", (0, 0))
    code = "import os, sys, time; sys.argv[1:] and os.utime(sys.argv[1]); time.sleep(2)"
    given = [str(tmp_path / "input")] if reads else []
    with subprocess.Popen([sys.executable, "-c", code, *given]) as process:
        assert fuzzing._hung(process, tmp_path) is hung
