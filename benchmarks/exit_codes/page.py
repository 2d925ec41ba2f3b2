"""The page: rules, and a table a kind."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from string import Template

from benchmarks.exit_codes.rows import ExitCodes, Result, Row
from benchmarks.markdown import table

NUMBERS, PAGE = "exit-codes.json", "exit-codes.md"
_TEMPLATE = Path(__file__).parents[1] / "exit-codes.md.template"


def page(found: ExitCodes) -> str:
    """The page of these numbers."""
    kinds = list(dict.fromkeys(row.kind for row in found.rows))
    return "\n".join([_rules(found), *(part for kind in kinds for part in _kind(kind, found.rows))])


def _rules(found: ExitCodes) -> str:
    zero = [row for row in found.rows if any(one.code == 0 for one in row.results)]
    asked = sum(row.asked for row in zero)
    beyond = sum(row.beyond for row in zero)
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        ways=len(found.rows),
        both=sum(row.workers is not None for row in found.rows),
        runs=sum(len(row.results) for row in found.rows),
        pytest=found.pytest,
        xdist=found.xdist,
        packages=", ".join(found.packages),
        zero=len(zero),
        whole=len(zero) - asked - beyond,
        asked=asked,
        beyond=beyond,
    )


def _kind(kind: str, rows: Sequence[Row]) -> Iterator[str]:
    yield f"## {kind}\n"
    yield table(
        ("what was done", "code", "with `-n 2`", "what is said"),
        (
            (
                _cell(row.what) + (" (asked for)" if row.asked else ""),
                _code(row.alone),
                _code(row.workers) if row.workers else "",
                _said(row),
            )
            for row in rows
            if row.kind == kind
        ),
    )


def _code(result: Result) -> str:
    shown = str(result.code) if result.code >= 0 else f"{128 - result.code} (signal)"
    return f"**{shown}**" if result.code == 0 and not result.complete else shown


def _said(row: Row) -> str:
    alone = _sentence(row.alone)
    if row.workers is None or row.alone.code == row.workers.code:
        return alone
    return f"{alone} With `-n 2`: {_sentence(row.workers)}"


def _sentence(result: Result) -> str:
    said = _cell(result.sentence)
    if result.code == 0 and result.state == "running":
        return f'report.json: `"state": "running"`. {said}'
    return said


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").strip()
