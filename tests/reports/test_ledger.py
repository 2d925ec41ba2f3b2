"""The ledger and the exit code: a run in which a test is lost, broken or interrupted never reads as a pass."""

import json
from typing import Any

import pytest

from spqr_fixtures.gate import PROPERTY
from spqr_tests.plugin.exit_code import decide
from spqr_tests.reports.ledger import BROKEN, COST, Ledger, missed

OK, FAILED = pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED


class Limited:
    """Of a report, the exit code asks for the limit alone."""

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit


def phase(when: str, outcome: str = "passed", *properties: tuple[str, str], test: str = "a") -> Any:
    """One phase of a test as it reaches the controller."""
    return pytest.TestReport(test, ("a.py", 1, test), {}, outcome, None, when, user_properties=properties)  # type: ignore[arg-type]


def decision(outcome: str, name: str = "safety") -> tuple[str, str]:
    return PROPERTY, json.dumps({"measurement": {"name": name}, "outcome": outcome, "sentence": f"{outcome}: {name}"})


def heard(*phases: Any) -> Ledger:
    ledger = Ledger()
    ledger.collect(["a"])
    for one in phases:
        ledger.report(one)
    return ledger


WHOLE = (phase("setup"), phase("call", "passed", decision("pass")), phase("teardown"))
MISSED = (phase("setup"), phase("call", "failed", decision("fail")), phase("teardown"))
BROKE = (phase("setup"), phase("call", "failed", (BROKEN, "no")), phase("teardown"))
CRASHED = (phase("???", "failed"),)


@pytest.mark.parametrize(
    ("found", "phases", "limit", "stopped", "code"),
    [
        (OK, WHOLE, None, False, 0),
        (OK, WHOLE, 4, False, 1),
        (FAILED, MISSED, None, False, 1),
        (FAILED, MISSED[:2], None, False, 3),
        (FAILED, MISSED[:2], None, True, 1),
        (OK, (), None, False, 3),
        (OK, WHOLE[:2], None, False, 3),
        (FAILED, BROKE, None, False, 3),
        (FAILED, CRASHED, None, False, 3),
        (FAILED, CRASHED, None, True, 3),
        (pytest.ExitCode.INTERRUPTED, (), None, False, 2),
        (pytest.ExitCode.USAGE_ERROR, WHOLE, None, False, 4),
        (pytest.ExitCode.NO_TESTS_COLLECTED, (), None, False, 5),
    ],
)
def test_exit_codes(found: int, phases: tuple[Any, ...], limit: int | None, stopped: bool, code: int) -> None:  # noqa: FBT001
    assert decide(found, heard(*phases), Limited(limit), stopped=stopped) == code  # type: ignore[arg-type]


def test_costs_add_up_over_tests() -> None:
    spent = [phase("teardown", "passed", (COST, json.dumps({"generated": n, "judged": 1})), test=str(n)) for n in (3, 4)]
    assert heard(*spent).cost == {"generated": 7, "judged": 2}


def test_a_crashed_test_is_not_lost_as_well() -> None:
    assert heard(*CRASHED).lost == []


def test_missed_is_said_of_a_failed_call_only() -> None:
    assert missed(MISSED[1]) == "fail: safety"
    assert missed(WHOLE[1]) is None
    assert missed(phase("teardown", "failed", decision("fail"))) is None
    assert missed(phase("call", "failed")) is None
