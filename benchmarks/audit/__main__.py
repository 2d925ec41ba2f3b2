"""The command that simulates audits of judges: what their intervals cover.

    python -m benchmarks.audit

writes docs/audit-coverage.json, what was measured, and docs/audit-coverage.md, the page of it. Exit
code 1 when a check in the page does not hold.
"""

import argparse
import sys
from pathlib import Path

from benchmarks import numbers
from benchmarks.audit.page import checks, page
from benchmarks.audit.rows import SCHEMA, AuditCoverage
from benchmarks.audit.worlds import cases, simulate

NAME = "audit-coverage"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--runs", type=int, default=2000, help="simulated audits per row (default: %(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, default=numbers.DOCS, help="where the two files go (default: docs)"
    )
    asked = parser.parse_args()
    rows = []
    for seed, (world, design) in enumerate(cases()):
        rows.append(simulate(world, design, asked.runs, seed))
        print(f"{world}, {design}: {rows[-1].sensitivity:.1%}", flush=True)  # noqa: T201  a command
    found = numbers.publish(
        AuditCoverage(schema_=SCHEMA, runs=asked.runs, rows=tuple(rows)), asked.out, NAME, page
    )
    sys.exit(
        "\n".join(
            f"Does not hold: {check.says}." for check in checks(found.rows) if not check.holds
        )
        or 0
    )


if __name__ == "__main__":
    main()
