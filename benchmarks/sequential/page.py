"""The page on early stopping, and the checks that it contains."""

from dataclasses import dataclass

import numpy as np

from benchmarks.markdown import table
from benchmarks.sequential.rows import Row, Sequential
from benchmarks.sequential.runs import CONFIDENCE, LOOK, SHARE, fixed_n
from benchmarks.sequential.worlds import WORLDS
from spqr_tests.verdict import sequential

LEAST = 0.94
_LEAST_POWER, _MOST_POWER = 0.5, 0.99
_ENOUGH = {"safety": 1000, "drift": 2000}
"""Planned n from which on `SHARE` of it is enough."""


@dataclass(frozen=True)
class Check:
    """A claim of the page."""

    says: str
    holds: bool


def checks(found: Sequential) -> list[Check]:
    """The claims about sequential runs."""
    slack = 3 * np.sqrt(0.05 * 0.95 / found.runs)
    at = [row for row in found.rows if row.at_threshold]
    says = [
        Check(
            "every interval covers the truth in at least 94 % of runs",
            all(row.covered >= LEAST for row in found.rows),
        ),
        Check(
            "at the threshold, at most 2.5 % of runs pass and at most 2.5 % fail, within three"
            " standard errors of the simulation",
            all(max(row.passed, row.failed) <= 0.025 + slack / 2 for row in at),
        ),
    ]
    for name, least in _ENOUGH.items():
        off = [
            row
            for row in found.rows
            if row.name == name and not row.at_threshold and row.planned >= least
        ]
        if off:
            says.append(
                Check(
                    f"{name}, five points off the threshold: at most 40 % of the planned images"
                    f" are used from a planned n of {least:,} on",
                    all(row.share <= SHARE for row in off),
                )
            )
    return says


def page(found: Sequential) -> str:
    """The page of docs/: a function of the numbers alone."""
    held = table(
        ("", "holds"), ((check.says, "yes" if check.holds else "**NO**") for check in checks(found))
    )
    smallest = table(
        ("what", "truth", "smallest planned n"),
        ((one.name, f"{one.truth:g}", f"about {one.planned:,}") for one in found.smallest),
    )
    return f"""\
# Early stopping: errors, coverage and savings

Made by `python -m benchmarks.sequential` (or `tox -e sequential`): do not edit.
[sequential.json](sequential.json) has the same numbers with more digits.

Each row has {found.runs:,} simulated runs. A run looks every {LOOK} images and stops when its
interval decides against the threshold. The interval is at {CONFIDENCE:.0%} and valid at every n:
{sequential.SEQUENCE_SHARE:.0%} of its error is spent on early looks, and the rest on one look at
the planned n ([how](decisions.md#early-stopping)).

Safety is compared with the threshold 10 % flagged (S = .90), drift with 20 points (R = .80).
{WORLDS[1].lost:.0%} of the pairs change from flagged to not flagged. Images of one prompt have a
correlation of {WORLDS[2].correlation}.

## Exactly at the threshold

A run that passes is a false pass. Nothing is saved here: no run can distinguish such a truth from
the threshold.

{_errors(found)}
## Five points off the threshold

- "of a fixed n as sure": the mean n as a share of the n whose 95 % interval, computed once,
  decides as often (at most {_MOST_POWER:.0%}); for drift by the normal approximation. Not given for
  several images a prompt, or where under half of the runs decide.
- "by the planned n at once": how often the planned n decides without early looks. The difference
  from "decided" is the price of looking early.

{_savings(found)}
## When 40 % of the planned images are enough

No method can achieve this at every n. With errors of 2.5 % on each side a decision needs about
ln(1/.025) = 3.7 nats of evidence. An image gives KL(.05 || .10) = .0167 nats,
KL(.15 || .10) = .0122, or about .006 for a drift of 25 points against 20. So a decision needs at
least 221, 302 or 580 images on average, which is 40 % of 550, 760 or 1,450. Simulated, in steps of
50:

{smallest}
## What it shows

{held}"""


def _errors(found: Sequential) -> str:
    return table(
        ("what", "planned n", "passes", "fails", "coverage", "coverage of the fixed n", "images"),
        (
            (
                row.name,
                f"{row.planned:,}",
                f"{row.passed:.2%}",
                f"{row.failed:.2%}",
                f"{row.covered:.1%}",
                f"{row.fixed_covered:.1%}",
                f"{row.share:.0%}",
            )
            for row in found.rows
            if row.at_threshold
        ),
    )


def _savings(found: Sequential) -> str:
    header = (
        "what",
        "truth",
        "planned n",
        "mean n",
        "of the planned",
        "of a fixed n as sure",
        "decided",
        "by the planned n at once",
        "wrongly",
        "coverage",
    )
    return table(
        header,
        (
            (
                row.name,
                f"{100 * row.truth:.0f} {'points' if row.world.drift else '%'}",
                f"{row.planned:,}",
                f"{row.used:.0f}",
                f"{row.share:.0%}",
                _against_fixed(row),
                f"{row.decided:.1%}",
                f"{row.fixed_decided:.1%}",
                f"{row.wrong:.2%}",
                f"{row.covered:.1%}",
            )
            for row in found.rows
            if not row.at_threshold
        ),
    )


def _against_fixed(row: Row) -> str:
    """The mean n as a share of the fixed n that decides as often; a dash where none is given."""
    if row.world.per_prompt > 1 or row.decided < _LEAST_POWER:
        return "-"
    return f"{row.used / fixed_n(row.world, row.truth, min(row.decided, _MOST_POWER)):.0%}"
