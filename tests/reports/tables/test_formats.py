"""Tables in every format, read by programs of others, with names that nobody wants in a page."""

import csv
import doctest
import importlib
import io
import json
import os
import pkgutil
import re
import subprocess
import sys
import unicodedata
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from pylatexenc.latex2text import (
    LatexNodes2Text,
    MacroTextSpec,
    get_default_latex_context_db,
)
from pylatexenc.latexwalker import LatexEnvironmentNode, LatexWalker
from pylatexenc.macrospec import LatexContextDb

from spqr_tests.reports import tables
from spqr_tests.reports.tables import delimited, latex, markdown, svg
from spqr_tests.reports.tables.page import Name, Page, Table
from spqr_tests.reports.tables.text import short
from tests.reports.conftest import HOSTILE, Command

MODULES = [module.name for module in pkgutil.iter_modules(tables.__path__)]
SHOWN = {kind: short(name) for kind, name in HOSTILE.items()}


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name: str) -> None:
    module = importlib.import_module(f"spqr_tests.reports.tables.{name}")
    assert doctest.testmod(module).failed == 0


def _visible(text: str) -> bool:
    """No character but line ends controls a terminal or turns the order of letters."""
    return all(
        letter == "\n" or unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
        for letter in text
    )


@pytest.mark.parametrize("how", ["terminal", "markdown", "csv", "latex", "html", "json"])
def test_no_control_character_reaches_a_format(
    command: Command, hostile: list[Path], how: str
) -> None:
    code, out, _ = command("leaderboard", *hostile, "--format", how)
    assert code == 0
    assert _visible(out)
    # A spreadsheet gets every name whole.
    assert ("a" * 5000 in out) == (how in ("csv", "json"))


class _Cells(HTMLParser):
    """Tags, attributes and the text of a table's cells, as a browser's parser would see them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.cells: list[str] = []
        self._inside = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag in ("td", "th"):
            self._inside += 1
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside -= tag in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.cells[-1] += data


def _cells(html: str) -> _Cells:
    found = _Cells()
    found.feed(html)
    return found


def test_html_shows_names_and_runs_nothing(command: Command, hostile: list[Path]) -> None:
    html = command("leaderboard", *hostile, "--published", "--format", "html")[1]
    found = _cells(html)
    assert set(SHOWN.values()) <= set(found.cells)
    assert not {"script", "img", "iframe", "link", "object", "a"} & found.tags
    assert not [
        name for name in found.attributes if name.startswith("on") or name in ("src", "href")
    ]
    [drawn] = re.findall(r"<svg.*?</svg>", html)
    ET.fromstring(drawn)  # noqa: S314  our own text
    assert "default-src 'none'" in html


def test_markdown_shows_names_and_nothing_else(command: Command, hostile: list[Path]) -> None:
    text = command("leaderboard", *hostile, "--published", "--format", "markdown")[1]
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    found = _cells(reader.render(text))
    assert found.tags == {
        *("h1", "h2", "p", "table", "thead", "tbody", "tr", "th", "td", "code"),
    }
    unequal = {"bar", "nothing", "space", "long"}  # trimmed, or with backslashes of their own
    assert {SHOWN[kind] for kind in SHOWN.keys() - unequal} <= set(found.cells)
    summary = reader.render(text.split("## R by")[0])
    rows = re.findall(r"<tr>.*?</tr>", summary, re.DOTALL)
    widths = {len(re.findall(r"<t[dh]", row)) for row in rows}
    assert widths == {8}


def test_a_bar_in_a_name_ends_no_cell() -> None:
    """By GitHub's rule: a backslash escapes a backslash, so that only an odd number keeps a bar."""
    for name in ("a|b", "a\\|b", "a\\\\|b", "a\\\\\\|b"):
        for text in (markdown.code(name), markdown.escaped(name)):
            assert all(len(found) % 2 for found in re.findall(r"(\\*)\|", text)), text


def test_csv_is_read_by_others_and_holds_no_formula(command: Command, hostile: list[Path]) -> None:
    out = command("leaderboard", *hostile, "--published", "--format", "csv")[1]
    rows = list(csv.DictReader(io.StringIO(out), strict=True))
    assert len(rows) == len(hostile) + 17
    formulas = tuple("=+-@\t\r")
    assert not [
        cell
        for row in rows
        for cell in row.values()
        if cell.startswith(formulas) and not re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", cell)
    ]
    names = [row["model"] for row in rows]
    assert {"'=cmd|' /C calc'!A0", "'+1", "'-1", "'@SUM(1)"} <= set(names)
    frame = pd.read_csv(io.StringIO(out))
    assert frame["spqr"].dtype == frame["place_first"].dtype == float
    assert frame["spqr_low"].notna().sum() == len(hostile)


def test_a_negative_number_is_a_number() -> None:
    assert (
        delimited.table([{"drift": -1.5, "n": -3, "name": "-1"}]) == "drift,n,name\n-1.5,-3,'-1\n"
    )


def test_latex_is_read_by_others_as_the_names(command: Command, hostile: list[Path]) -> None:
    text = command("leaderboard", *hostile, "--published", "--format", "latex")[1]
    nodes = LatexWalker(text, tolerant_parsing=False).get_latex_nodes()[0]
    floats = [one for one in nodes if isinstance(one, LatexEnvironmentNode)]
    assert {one.environmentname for one in floats} == {"table"}
    assert text.count("\\begin{tabular}") == len(floats) == 9
    macros = set(re.findall(r"\\([a-zA-Z]+)", text))
    assert macros <= {
        *("begin", "end", "centering", "caption", "toprule", "midrule", "bottomrule", "texttt"),
        *("textbackslash", "textasciicircum", "textasciitilde", "textless", "textgreater"),
        *("textbar", "textasciigrave", "textquotesingle", "char", "usepackage"),
    }
    reader = LatexNodes2Text(math_mode="verbatim", latex_context=_latex_symbols())
    for name in SHOWN.values():
        plain = reader.latex_to_text(latex.escaped(name).replace(r"\char34{}", r"\textquotedbl{}"))
        assert re.sub(r"\s+", " ", plain) == re.sub(r"\s+", " ", name)


def _latex_symbols() -> LatexContextDb:
    """What the reader knows, with the text symbols of LaTeX that it lacks."""
    context = get_default_latex_context_db()
    symbols = {"less": "<", "greater": ">", "bar": "|", "asciigrave": "`"}
    symbols |= {"quotesingle": "'", "quotedbl": '"', "asciicircum": "^", "asciitilde": "~"}
    specs = [MacroTextSpec(f"text{name}", letter) for name, letter in symbols.items()]
    context.add_context_category("symbols", macros=specs, prepend=True)
    return context


def test_json_keeps_every_name_as_it_is(command: Command, hostile: list[Path]) -> None:
    out = command("leaderboard", *hostile, "--format", "json")[1]
    found = {entry["row"]["model"] for entry in json.loads(out)["entries"]}
    assert found == set(HOSTILE.values())


def test_a_plot_is_xml_whatever_a_name_holds() -> None:
    points = [svg.Point(0.5, 0.4, 0.6), None, svg.Point(2.0, -1.0, 3.0, mark=True)]
    names = list(HOSTILE.values())
    for drawn in (
        svg.radar(("S", "P", "Q", "R"), dict.fromkeys(names, (0.1, 2.0, -1.0, 0.5))),
        svg.lines(names[:3], dict.fromkeys(names, points)),
    ):
        root = ET.fromstring(drawn)  # noqa: S314  our own text
        titles = {one.text for one in root.iter("{http://www.w3.org/2000/svg}title")}
        assert {name for name in SHOWN.values() if name.strip()} <= titles


def test_a_file_is_written_whole(command: Command, boards: Path, tmp_path: Path) -> None:
    path = tmp_path / "new" / "board.md"
    report = boards / "published" / "uce"
    printed = command("leaderboard", report, "--format", "markdown")[1]
    code, out, _ = command("leaderboard", report, "--format", "markdown", "--output", path)
    assert (code, out, path.read_text("utf-8")) == (0, "", printed)
    code, _, error = command("leaderboard", report, "--output", tmp_path)
    assert code == 4
    assert f"--output {tmp_path} cannot be written" in error


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_standard_output_takes_any_name(hostile: list[Path], encoding: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "spqr_tests", "leaderboard", *map(str, hostile)],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": encoding},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode(encoding).count("0.") > 100


def test_a_reader_may_close_the_pipe(boards: Path) -> None:
    folders = [str(path) for path in (boards / "published").iterdir()]
    with subprocess.Popen(
        [sys.executable, "-m", "spqr_tests", "frame", *folders, *folders, *folders],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert (running.stderr.read(), running.wait()) == (b"", 0)


def test_a_page_without_rows_is_a_page() -> None:
    page = Page("nothing", (), [Table("empty", (Name("a"), "b"), [])])
    assert markdown.page(page) == "# nothing\n\n## empty\n\n| `a` | b |\n| --- | --- |\n"
    assert "\\toprule" in latex.page(page)
