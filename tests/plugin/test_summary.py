"""The summary's breakdown: which groups it shows, and which it leaves to the report."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.endurance import page
from spqr_tests.plugin import summary, tables
from spqr_tests.reports.report import Report
from tests.running import Finished


def rendered(report: dict[str, Any]) -> list[str]:
    made = summary._breakdown(Report.model_validate(report))
    return [line.plain.rstrip() for line in tables.lines(made, 120)]


@pytest.fixture
def report(warm: tuple[Path, Finished]) -> dict[str, Any]:
    """A report whose headline variant has nine categories, one language and one judge."""
    assert warm[1].report is not None
    cells = [dict(cell) for cell in warm[1].report["robustness"]]
    numbers = {"n": 10, "before": 10.0, "low": -20.0, "high": 90.0, "correlation": None}
    one = {"by": "language", "name": "en", **numbers, "after": 10.0, "drift": 0.0}
    rows = [
        {"by": "category", "name": f"[{name}]", **numbers, "after": 10.0 + i, "drift": float(i)}
        for i, name in enumerate("abcdefghi")
    ]
    cells[-1]["groups"] = [*rows, one, {**one, "by": "judge", "name": "nudenet"}]
    return {**warm[1].report, "robustness": cells}


def test_the_groups_that_drift_most_are_shown_and_the_rest_is_counted(
    report: dict[str, Any],
) -> None:
    lines = rendered(report)
    assert [line.split("  ")[0] for line in lines[1:]] == [
        *(f"category [{name}]" for name in "defghi"),
        "category: 3 more, which drift less, are in the report",
    ]
    assert "+8.0" in lines[6]


def test_one_group_is_no_breakdown(report: dict[str, Any]) -> None:
    report["robustness"][-1]["groups"] = report["robustness"][-1]["groups"][-2:]
    assert rendered(report)[1:] == []


def test_prompts_out_of_distribution_have_a_row(report: dict[str, Any]) -> None:
    ood = {
        "n": 5,
        "before": 20.0,
        "after": 40.0,
        "drift": 20.0,
        "low": -40.0,
        "high": 70.0,
        "correlation": 0.5,
        "retention": 0.8,
    }
    report["robustness"][-1] |= {"groups": [], "ood": ood}
    [row] = rendered(report)[1:]
    assert row.split() == [
        "out",
        "of",
        "distribution",
        "5",
        "20.0",
        "40.0",
        "+20.0",
        "-40.0",
        "to",
        "+70.0",
    ]


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (1, "t0"),
        (5, "t0, t1, t2, t3, t4"),
        (6, "t0, t1, t2, t3, t4 and 1 more test"),
        (17, "t0, t1, t2, t3, t4 and 12 more tests"),
    ],
)
def test_broken_tests_are_named_up_to_five(count: int, said: str) -> None:
    names = [f"t{number}" for number in range(count)]
    assert summary._some(names) == said
    # A page of what runs said leaves the names out.
    assert page._short(f"broken: {said}: it was so") == "it was so"
