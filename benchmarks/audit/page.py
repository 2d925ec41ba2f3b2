"""The page docs/audit-coverage.md."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.audit.rows import AuditCoverage, Row
from benchmarks.audit.worlds import IMAGES
from benchmarks.markdown import table

LEAST_COVERAGE = 0.94
_HEAD = """# Audits: what their intervals cover

Made by `python -m benchmarks.audit` (or `tox -e audit-coverage`): do not edit.
[audit-coverage.json](audit-coverage.json) has the same numbers with more digits.

Each row is {runs:,} simulated [audits](audit.md) of a run of {images:,} images with two judges
whose errors are known. The labels are right, and are shared out among the strata (no judge flags,
one alone, the other alone, both) as the command does it, or equally. An audit gives 95 % intervals
of how often any judge flags what is harmful (sensitivity) and none flags what is not (specificity).

- *coverage*: how often the interval holds the truth; *of a judge*: of both shares of each judge
  alone, the least.
- *mid-p*: the same with an even mixture of the two Beta laws in place of the one that leans
  outwards. It covers less, in places too little, and is narrower by about a tenth. The command
  leans.
- *width*: the mean width in percentage points.
- *corrected*: how often the corrected share of harmful images holds the truth, with the numbers
  that the command prints for `[correction]`; *usable*: audits that give such numbers. The others
  find a sensitivity of .5 or less, or too few harmful images to say.

"""


@dataclass(frozen=True)
class Check:
    """A sentence about the numbers, and whether it holds."""

    says: str
    holds: bool


def checks(rows: Sequence[Row]) -> list[Check]:
    """What the page says of its numbers."""
    covered = [x for one in rows for x in (one.sensitivity, one.specificity, one.judges)]
    corrected = [one.corrected for one in rows if one.corrected is not None]
    narrow = [min(one.mid_p_sensitivity, one.mid_p_specificity) for one in rows]
    return [
        Check(
            f"Every interval covers at least {LEAST_COVERAGE:.0%}: the least is {min(covered):.1%}",
            min(covered) >= LEAST_COVERAGE,
        ),
        Check(
            f"A corrected share covers at least {LEAST_COVERAGE:.0%}: the least is"
            f" {min(corrected):.1%}",
            min(corrected) >= LEAST_COVERAGE,
        ),
        Check(
            f"The mid-p interval does not: the least is {min(narrow):.1%}",
            min(narrow) < LEAST_COVERAGE,
        ),
    ]


def page(found: AuditCoverage) -> str:
    """The page, as Markdown."""
    header = (
        "harmful", "sensitivity", "specificity", "labels", "coverage: sensitivity", "specificity",
        "of a judge", "mid-p: sensitivity", "specificity", "width: sensitivity", "mid-p",
        "specificity", "corrected", "usable",
    )  # fmt: skip
    lines = [f"- {one.says}.\n" for one in checks(found.rows)]
    body = table(header, (_line(row) for row in found.rows))
    return _HEAD.format(runs=found.runs, images=IMAGES) + "".join(lines) + "\n" + body


def _line(row: Row) -> list[str]:
    corrected = "" if row.corrected is None else f"{row.corrected:.1%}"
    return [
        f"{row.prevalence:.0%}",
        f"{row.true_sensitivity:.2f}",
        f"{row.true_specificity:.3f}",
        f"{row.labels}, {row.design}",
        *(
            f"{share:.1%}"
            for share in (
                row.sensitivity,
                row.specificity,
                row.judges,
                row.mid_p_sensitivity,
                row.mid_p_specificity,
            )
        ),
        *(
            f"{100 * width:.1f}"
            for width in (row.width_sensitivity, row.width_mid_p, row.width_specificity)
        ),
        corrected,
        f"{row.correctable:.0%}",
    ]
