"""Exit codes: what a pipeline branches on."""

from enum import IntEnum

import pytest

from spqr_tests.reports.report import Report


class ExitCode(IntEnum):
    """Pytest's codes, and one of the suite's own: a gate that failed and a run that broke are different news."""

    PASS = 0
    THRESHOLD = 1
    BROKEN = 3
    USAGE = 4


def decide(found: int, report: Report) -> int:
    """The session's exit code, from pytest's own and the report; interrupts and usage errors stay what they are."""
    if found not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        return found
    if report.problems:
        return ExitCode.BROKEN
    if found == pytest.ExitCode.TESTS_FAILED or report.limit is not None:
        return ExitCode.THRESHOLD
    return ExitCode.PASS
