"""What is written in a terminal fits it, and obeys nothing that a name holds."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.markup import escape

from spqr_tests import quotes
from spqr_tests.plugin import plain, tables
from spqr_tests.plugin.summary import _cases, _drift
from spqr_tests.reports.report import Report
from tests.running import CHECKOUT

HOSTILE = [
    "<script>alert(1)</script>",
    "\x1b[31mred\x1b[0m\x07",
    "a\u202eb\u2066c",
    "a\rPASS: all cases",
    "two\nlines",
    "[bold]markup[/bold]",
    "x" * 5000,
    "\ud800",
]


@pytest.fixture(scope="module")
def report() -> Report:
    return Report.model_validate_json((CHECKOUT / "docs" / "sample-report.json").read_bytes())


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_reports_tables_fit_and_break_no_number(report: Report, width: int) -> None:
    for made in (_cases(report), _drift(report)):
        said = [line.plain for line in tables.lines(made, width)]
        whole = [word.rstrip(",") for line in said for word in line.split()]
        for row in made.rows:
            name, *numbers = (cell.plain for cell in row)
            assert name.split()[0] in whole
            assert all(word in whole for one in numbers for word in one.split())
        # A name or a path may be longer than the terminal; nothing else is.
        alone = {row[0].plain for row in made.rows}
        assert all(len(line) <= width for line in said if line not in alone)


def test_in_a_log_each_row_is_one_line(report: Report) -> None:
    made = _cases(report)
    assert len(tables.lines(made, None)) == 1 + len(made.rows) + bool(made.title)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("width", [40, 80, None])
def test_a_name_is_shown_and_not_obeyed(name: str, width: int | None) -> None:
    made = tables.table("measurement", "value", title=name)
    made.add_row(escape(name), "0.5")
    shown = [line.plain for line in tables.lines(made, width)] + plain.wrap(name, width)
    assert all(cell_len(line) <= max(width or 0, 240) for line in shown)
    assert not [
        character
        for character in "".join(shown)
        if unicodedata.category(character) in {"Cc", "Cf", "Cs"}
    ]


@given(st.text(), st.integers(min_value=1, max_value=120))
def test_a_sentence_is_broken_between_words_alone(sentence: str, width: int) -> None:
    said = plain.wrap(sentence, width)
    shown = " ".join(plain.word(one, width) for one in quotes.line(sentence).split(" "))
    assert "".join(said).replace(" ", "") == shown.replace(" ", "")
    words = re.split(" +", shown)
    for line in said:
        assert cell_len(line) <= width or len(line.split(" ")) <= 3
        assert all(word in words for word in line.strip(" ").split(" "))
