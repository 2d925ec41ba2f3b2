"""The JSON next to a page: it is read as it was written, and rows are compact."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from benchmarks import numbers
from benchmarks.coverage.cells import SCHEMA, Cell, Coverage


@pytest.fixture
def made() -> Coverage:
    cells = (Cell("drift", "a", 50, 0.02, 0.03, few=True), Cell("spqr", "b", 50, 0.02, 0, runs=9))
    return Coverage(schema_=SCHEMA, seconds=60, cells=cells)


def test_numbers_are_read_as_they_were_written(made: Coverage, tmp_path: Path) -> None:
    made.write(tmp_path / "numbers.json")
    assert numbers.read(Coverage, tmp_path / "numbers.json") == made


def test_a_row_is_a_line_without_its_defaults(made: Coverage, tmp_path: Path) -> None:
    made.write(tmp_path / "numbers.json")
    lines = (tmp_path / "numbers.json").read_text(encoding="utf-8").splitlines()
    assert lines[1] == ' "schema": "spqr-coverage/1",'
    assert [line for line in lines if '"runs"' in line] == [
        '  {"section": "spqr", "row": "b", "n": 50, "above": 0.02, "below": 0.0, "runs": 9}'
    ]


@pytest.mark.parametrize("change", [{"more": 1}, {"schema": "spqr-coverage/0"}, {"cells": []}])
def test_other_numbers_are_refused(
    made: Coverage, change: dict[str, object], tmp_path: Path
) -> None:
    path = tmp_path / "numbers.json"
    made.write(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValidationError):
        numbers.read(Coverage, path)
