"""Broken tests in the terminal: one sentence once, with the place where it arose."""

from typing import Any

import pytest

from spqr_tests.plugin import broken


def report(test: str, said: Any) -> pytest.TestReport:
    return pytest.TestReport(test, ("", None, ""), {}, "failed", said, "call")


def test_the_first_says_where_it_arose_whichever_test_knows() -> None:
    sentence = "The judge nudenet cannot judge."
    found = [
        report("a", sentence),
        report("b", f"{sentence}\n(raised in own.py:2, judge)"),
        report("c", "Another."),
        report("d", sentence),
        report("e", None),
    ]
    broken.shorten(found)
    assert [one.longrepr for one in found] == [
        f"{sentence}\n(raised in own.py:2, judge)",
        "as in a",
        "Another.",
        "as in a",
        None,
    ]
