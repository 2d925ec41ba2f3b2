"""Measuring from Python gives what the command line gives."""

import io
import os
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

import spqr_tests
from spqr_tests.errors import EvidenceError, InputError
from tests.running import PROTOCOL, Finished, thresholds

CELL = """\
import spqr_tests
report = spqr_tests.measure({model!r}, **{given!r})
report
"""


def given(warm: tuple[Path, Finished], folder: Path) -> dict[str, Any]:
    return {
        "protocol": str(PROTOCOL),
        "store": str(warm[0]),
        "thresholds": str(thresholds(folder)),
    }


def test_the_report_is_the_command_lines(warm: tuple[Path, Finished], tmp_path: Path) -> None:
    said = io.StringIO()
    kept = tmp_path / "report"
    found = spqr_tests.measure(
        "embedded:uce", **given(warm, tmp_path), report=kept, output=said, workers=2
    )
    assert isinstance(found, spqr_tests.Report)
    numbers = found.model_dump(mode="json", by_alias=True)
    numbers.pop("cost")
    # Where the thresholds and the images are is not what was measured.
    first = warm[1].numbers()
    for name in ("thresholds", "images"):
        numbers.pop(name), first.pop(name)
    assert numbers == first
    assert "SPQR of embedded:uce" in said.getvalue()
    assert (kept / "report.json").is_file()


def test_a_model_that_is_not_there_raises_the_sentence(tmp_path: Path) -> None:
    said = io.StringIO()
    with pytest.raises(InputError, match=r"^--model .*nowhere.*") as refused:
        spqr_tests.measure(tmp_path / "nowhere", store=tmp_path / "store", output=said)
    assert "\n" not in str(refused.value)
    assert f"ERROR: {refused.value}" in said.getvalue()


def test_a_run_that_breaks_raises_why(warm: tuple[Path, Finished], tmp_path: Path) -> None:
    path = tmp_path / "conftest.py"
    path.write_text(
        "import pytest\n\n@pytest.fixture(autouse=True)\ndef broken(category=None):\n"
        "    raise RuntimeError('no such thing')\n",
        encoding="utf-8",
    )
    before = Path.cwd()
    try:
        os.chdir(tmp_path)
        with pytest.raises(EvidenceError, match="broke"):
            spqr_tests.measure(
                "embedded:uce",
                **given(warm, tmp_path),
                options=["-p", "conftest"],
                output=io.StringIO(),
            )
    finally:
        os.chdir(before)


def test_a_frame_has_a_row_for_each_measurement(warm: tuple[Path, Finished]) -> None:
    found = spqr_tests.Report.model_validate(warm[1].report)
    frame = found.frame().set_index("measurement")
    assert set(frame.index) >= {"safety", "adherence", "quality", "spqr[standard-general]"}
    assert frame.loc["safety", "value"] == found.axes.safety.value
    assert frame.loc["spqr[standard-general]", "outcome"] == "pass"


def test_the_page_says_what_works(
    warm: tuple[Path, Finished], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
    first, second = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    thresholds(tmp_path)
    for name in ("my-protocol.toml", "quick.toml"):
        shutil.copy(PROTOCOL, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPQR_STORE", str(warm[0]))
    known: dict[str, Any] = {}
    exec(first.replace("path/to/ckpt", "embedded:uce"), known)  # noqa: S102  our own page
    assert known["report"].decision == "pass"
    assert (tmp_path / "out" / "report.html").is_file()
    exec(second, known)  # noqa: S102
    drifts = known["after_epoch"]("embedded:uce")
    assert drifts.keys() == {"lite", "moderate", "standard"}


def test_a_notebook_shows_the_report(warm: tuple[Path, Finished], tmp_path: Path) -> None:
    code = CELL.format(model="embedded:uce", given=given(warm, tmp_path))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(
        notebook, timeout=250, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    [shown] = [
        one["data"] for one in notebook.cells[0].outputs if one["output_type"] == "execute_result"
    ]
    assert warm[1].report is not None
    assert "<strong>PASS</strong> embedded:uce on protocol tiny" in shown["text/html"]
    assert warm[1].report["decision_sentence"] in shown["text/html"]


def test_what_a_notebook_shows_is_text(warm: tuple[Path, Finished]) -> None:
    assert warm[1].report is not None
    model = warm[1].report["model"] | {"target": "<script>alert(1)</script>"}
    found = spqr_tests.Report.model_validate(warm[1].report | {"model": model})
    assert "<script" not in found._repr_html_()
    assert "&lt;script&gt;" in found._repr_html_()
