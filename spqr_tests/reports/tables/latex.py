"""LaTeX tables for a paper, with booktabs."""

import re
from collections.abc import Sequence

from spqr_tests.reports.tables.page import Cell, Name, Page, Table, shown
from spqr_tests.reports.tables.text import sentence, short

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "^": r"\textasciicircum{}",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "%": r"\%",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
}
_DASH = re.compile(r"(?<=-)-")


def page(found: Page) -> str:
    """The tables, each a float with its title as caption; title and notes are comments."""
    tables = [_table(one) for one in found.tables]
    said = [found.title, r"Needs \usepackage{booktabs}.", *found.notes]
    if not "".join(tables).isascii():
        said.append("Names hold letters that pdfLaTeX lacks; use XeLaTeX or LuaLaTeX.")
    return "\n".join([*(f"% {sentence(text)}" for text in said), *tables]) + "\n"


def escaped(text: str) -> str:
    r"""Text whose characters mean nothing, on one line.

    >>> escaped("50 % of a_b -- c")
    '50 \\% of a\\_b -{}- c'
    """
    return _DASH.sub("{}-", "".join(_SPECIAL.get(letter, letter) for letter in text))


def _table(found: Table) -> str:
    note = f" {escaped(sentence(found.note))}" if found.note else ""
    return "\n".join(
        (
            "",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escaped(sentence(found.title))}.{note}}}",
            rf"\begin{{tabular}}{{l{'c' * (len(found.header) - 1)}}}",
            r"\toprule",
            _row(found.header),
            r"\midrule",
            *map(_row, found.rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        )
    )


def _row(cells: Sequence[Cell]) -> str:
    return " & ".join(map(_cell, cells)) + r" \\"


def _cell(found: Cell) -> str:
    if isinstance(found, Name):
        return rf"\texttt{{{escaped(short(found.text))}}}"
    # In braces: after a line end, a bracket or an asterisk would be read as its argument.
    text = escaped(sentence(shown(found)))
    return f"{{{text}}}" if text.startswith(("[", "*")) else text
