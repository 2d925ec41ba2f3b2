"""The page on early stopping: a check that fails is printed as NO."""

from dataclasses import replace

import pytest

from benchmarks.sequential.page import checks, page
from benchmarks.sequential.rows import SCHEMA, Row, Sequential, Smallest

AT = Row("safety", 0.1, 1000, 990, 0.02, 0.02, 0.96, 0.95, 0.05)
OFF = Row("safety", 0.05, 1000, 300, 0.99, 0.001, 0.98, 0.95, 0.995)
FAR = Row("drift", 0.25, 2000, 700, 0.0004, 0.9, 0.98, 0.95, 0.95)


def made(*rows: Row) -> Sequential:
    smallest = (Smallest("safety", 0.05, 700),)
    return Sequential(schema_=SCHEMA, runs=5000, rows=rows, smallest=smallest)


@pytest.mark.parametrize(
    ("changed", "broken"),
    [
        (AT, None),
        (replace(AT, covered=0.93), "at least 94 %"),
        (replace(AT, passed=0.04), "at most 2.5 %"),
        (replace(OFF, used=410), "safety, five points off"),
        (replace(FAR, used=810), "drift, five points off"),
    ],
)
def test_a_check_that_does_not_hold_is_said(changed: Row, broken: str | None) -> None:
    found = made(AT, OFF, FAR, changed)
    failed = [check.says for check in checks(found) if not check.holds]
    assert len(failed) == (broken is not None)
    assert all(broken in says for says in failed if broken)
    assert page(found).count("**NO**") == len(failed)


def test_the_page_has_a_row_a_truth() -> None:
    text = page(made(AT, OFF, FAR))
    assert "| safety | 1,000 | 2.00% | 2.00% | 96.0% | 95.0% | 99% |" in text
    assert "| drift | 25 points | 2,000 | 700 | 35% |" in text
    assert "| 90.0% | 95.0% | 0.04% | 98.0% |" in text
    assert "| safety | 0.05 | about 700 |" in text
