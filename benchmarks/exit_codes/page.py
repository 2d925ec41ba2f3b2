"""The page: rules, and a table a kind."""

from collections.abc import Iterator, Sequence

from benchmarks.exit_codes.rows import ExitCodes, Result, Row
from benchmarks.markdown import table

NUMBERS, PAGE = "exit-codes.json", "exit-codes.md"
_RULES = """\
# Exit codes

What a pipeline may rely on: **a run exits with 0 only when every measurement of its scope was made, decided and passed.** `--spqr-partial` on the command line says that a part is wanted; the code
is then that part's. A command that measures nothing (`--collect-only`, `--spqr-plan`, ...) exits with 0 where the command line itself asks for it, prints no decision and leaves report.json alone;
in `addopts` or `PYTEST_ADDOPTS` it is refused.

| code | meaning |
|---|---|
| 0 | pass |
| 1 | a case failed or is undecided, a measurement is worse than in the version before, or some were left out |
| 2 | interrupted: Ctrl-C, SIGTERM, a test that cannot be read |
| 3 | the run broke: a judge raised, a test was skipped, never ended or ended without a decision, the report cannot be written |
| 4 | usage: an option, a model, a protocol or a plugin that cannot be used |
| 5 | no test was selected |
| a signal | what ended the process, as the shell says it: 128 and the signal's number |

**What no plugin can prevent:** code in the run's own process that ends it (`os._exit(0)`) decides what the shell sees. report.json says `"state": "running"` from the first case until the report
is written whole, so that nothing but a finished run can say `pass` in it. A pipeline that runs code it does not trust reads the report as well as the code:

    pytest --model candidate --spqr-report out && python -c 'import json, sys; sys.exit(json.load(open("out/report.json"))["decision"] != "pass")'

Judges that packages register cannot do this: [they run in a process of their own](judges.md).
"""


def page(found: ExitCodes) -> str:
    """The page of these numbers."""
    kinds = list(dict.fromkeys(row.kind for row in found.rows))
    return "\n".join(
        [
            _RULES,
            *_tried(found),
            *(part for kind in kinds for part in _kind(kind, found.rows)),
        ]
    )


def _tried(found: ExitCodes) -> Iterator[str]:
    runs = [one for row in found.rows for one in (row.alone, row.workers)]
    zero = [row for row in found.rows if 0 in (row.alone.code, row.workers.code)]
    asked = sum(row.asked for row in zero)
    beyond = sum(row.beyond and not row.asked for row in zero)
    whole = len(zero) - asked - beyond
    yield (
        "## What was tried\n\n"
        f"{len(found.rows)} ways to lose a test or to hide that one failed, each without and with"
        f" `-n 2`: {len(runs)} runs of the suite on the embedded world (pytest {found.pytest},"
        f" pytest-xdist {found.xdist}; {', '.join(found.packages)}). In {len(zero)} ways a run exits"
        f" with 0: in {whole} everything was measured and passed all the same, in {asked} a part or"
        f" nothing was asked for on the command line, and in {beyond} the process was ended from"
        " within. `tests/plugin/test_exit_codes.py` runs a sample of them in every build;"
        " `python -m benchmarks.exit_codes --measure` runs all.\n"
    )


def _kind(kind: str, rows: Sequence[Row]) -> Iterator[str]:
    yield f"## {kind}\n"
    yield table(
        ("what was done", "code", "with `-n 2`", "what is said"),
        (
            (
                _cell(row.what) + (" (asked for)" if row.asked else ""),
                _code(row.alone),
                _code(row.workers),
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
    alone, workers = (_sentence(one) for one in (row.alone, row.workers))
    if alone == workers or row.alone.code == row.workers.code:
        return alone
    return f"{alone} With `-n 2`: {workers}"


def _sentence(result: Result) -> str:
    said = _cell(result.sentence)
    if result.code == 0 and result.state == "running":
        return f'report.json: `"state": "running"`. {said}'
    return said


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").strip()
