"""Exit codes: what a pipeline branches on."""

from enum import IntEnum

import pytest

from spqr_tests.reports.ledger import Ledger
from spqr_tests.reports.report import Report


class ExitCode(IntEnum):
    """Pytest's codes, and one of the suite's own: a gate that failed and a run that broke are different news."""

    PASS = 0
    THRESHOLD = 1
    BROKEN = 3
    USAGE = 4


def decide(found: int, ledger: Ledger, report: Report, *, stopped: bool) -> int:
    """The session's exit code, from pytest's own and what the ledger holds.

    Interrupts and usage errors stay what they are. A test that was collected and never reported is a broken run, unless the
    user asked pytest to stop early (`-x`, `--maxfail`).
    """
    if found not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        return found
    if ledger.broken or (ledger.lost and not stopped):
        return ExitCode.BROKEN
    if found == pytest.ExitCode.TESTS_FAILED or report.limit is not None:
        return ExitCode.THRESHOLD
    return ExitCode.PASS
