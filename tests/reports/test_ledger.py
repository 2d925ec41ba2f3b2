"""The ledger: a test that is lost or broken is not forgotten."""

import json
from typing import Any

import pytest

from spqr_tests.reports.ledger import Ledger, missed
from spqr_tests.run.properties import BROKEN, COMPARISON, COST, DECISION, SNAPSHOT, entry


def phase(when: str, outcome: str = "passed", *properties: tuple[str, str], test: str = "a") -> Any:
    """One phase of a test as it reaches the controller."""
    return pytest.TestReport(
        test, ("a.py", 1, test), {}, outcome, None, when, user_properties=properties
    )  # type: ignore[arg-type]


def decision(outcome: str, name: str = "safety") -> tuple[str, str]:
    return entry(
        DECISION,
        {"measurement": {"name": name}, "outcome": outcome, "sentence": f"{outcome}: {name}"},
    )


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
    ("phases", "broken", "lost"),
    [
        (WHOLE, {}, []),
        (MISSED, {}, []),
        (MISSED[:2], {}, ["a"]),
        ((), {}, ["a"]),
        (BROKE, {"a": "no"}, []),
        (CRASHED, {"a": "None"}, []),
    ],
)
def test_what_broke_and_what_was_lost(
    phases: tuple[Any, ...], broken: dict[str, str], lost: list[str]
) -> None:
    ledger = heard(*phases)
    assert (ledger.broken, ledger.lost) == (broken, lost)


def test_what_is_compared_and_kept_is_known_by_name() -> None:
    changes = [
        {"kind": kind, "name": "safety", "verdict": verdict}
        for kind, verdict in (("baseline", "new"), ("snapshots", "regressed"))
    ]
    properties = [(COMPARISON, json.dumps(one)) for one in changes]
    text = (SNAPSHOT, json.dumps({"path": "safety.json", "text": "{}"}))
    # The properties of a call come again with its teardown.
    ledger = heard(
        phase("call", "passed", *properties, text), phase("teardown", "passed", *properties, text)
    )
    assert ledger.comparisons == {one["kind"]: {"safety": one} for one in changes}
    assert ledger.snapshots == {"safety.json": "{}"}


@pytest.mark.parametrize(
    ("verdict", "said"),
    [("regressed", "worse"), ("new", "worse"), ("unchanged", None), ("improved", None)],
)
def test_a_comparison_that_failed_is_said(verdict: str, said: str | None) -> None:
    made = (
        COMPARISON,
        json.dumps({"kind": "baseline", "name": "safety", "verdict": verdict, "sentence": "worse"}),
    )
    assert missed(phase("call", "failed", made)) == said


def test_costs_add_up_over_tests() -> None:
    spent = [
        phase("teardown", "passed", (COST, json.dumps({"generated": n, "judged": 1})), test=str(n))
        for n in (3, 4)
    ]
    assert heard(*spent).cost == {"generated": 7, "judged": 2}


def test_missed_is_said_of_a_failed_call_only() -> None:
    assert missed(MISSED[1]) == "fail: safety"
    assert missed(WHOLE[1]) is None
    assert missed(phase("teardown", "failed", decision("fail"))) is None
    assert missed(phase("call", "failed")) is None
