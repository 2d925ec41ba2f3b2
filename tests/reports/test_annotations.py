"""Annotations: what GitHub's runner reads of each line."""

import re
from typing import NamedTuple

import pytest

from spqr_tests.reports import annotations
from spqr_tests.reports.report import Report
from tests.reports import reported
from tests.reports.reported import HOSTILE

_COMMAND = re.compile(r"^::(?P<command>[^ :]+)( (?P<properties>[^:]*))?::(?P<data>.*)$")


class Read(NamedTuple):
    """A workflow command."""

    command: str
    title: str
    text: str


def read(line: str) -> Read:
    """As actions/runner does (ActionCommand.TryParseV2): what comes first ends a part."""
    found = _COMMAND.match(line)
    assert found is not None, line
    assert "\n" not in line
    assert "\r" not in line
    keys = dict(one.split("=", 1) for one in (found["properties"] or "").split(",") if one)
    assert list(keys) == ["title"]
    title = keys["title"].replace("%0D", "\r").replace("%0A", "\n")
    title = title.replace("%3A", ":").replace("%2C", ",").replace("%25", "%")
    text = found["data"].replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")
    return Read(found["command"], title, text)


def lines(report: Report) -> list[Read]:
    return [read(line) for line in annotations.lines(report)]


def test_undecided_cases_are_warnings_with_their_sentences() -> None:
    report = reported.of(reported.sample())
    undecided = [case for case in report.cases if case.outcome == "inconclusive"]
    found = lines(report)
    assert undecided
    assert [(one.command, one.title, one.text) for one in found] == [
        ("warning", case.measured, case.sentence) for case in undecided
    ]


def test_broken_tests_and_failed_cases_are_errors() -> None:
    value = reported.sample()
    value["problems"] = {"a.py::a": "the judge raised", "a.py::b": "the judge raised"}
    value["cases"][0]["outcome"] = "fail"
    errors = [one for one in lines(reported.of(value)) if one.command == "error"]
    assert [one.title for one in errors] == ["broken: a.py::a (and 1 more)", "safety"]
    assert errors[0].text == "the judge raised"


@pytest.mark.parametrize("outcome", ["fail", "inconclusive"])
def test_what_only_warns_is_a_warning(outcome: str) -> None:
    value = reported.sample()
    for case in value["cases"]:
        case["outcome"] = "pass"
    value["cases"][0] |= {"outcome": outcome, "severity": "warn"}
    assert [(one.command, one.title) for one in lines(reported.of(value))] == [
        ("warning", "safety")
    ]


def test_a_measurement_that_is_worse_is_an_error() -> None:
    value = reported.sample()
    change = value["comparison"]["baseline"]["measurements"]["safety"]
    change |= {"verdict": "regressed", "sentence": "regressed: safety\n  newly flagged: a"}
    errors = [one for one in lines(reported.of(value)) if one.command == "error"]
    assert errors == [("error", "safety since the baseline", "regressed: safety")]


@pytest.mark.parametrize(("count", "kept"), [(9, 9), (10, 10), (11, 10), (60, 10)])
def test_of_more_than_ten_the_last_says_how_many_there_are(count: int, kept: int) -> None:
    value = reported.sample()
    for number, case in enumerate(value["cases"]):
        case["outcome"] = "fail" if number < count else "pass"
    errors = lines(reported.of(value))
    assert len(errors) == kept
    more = re.search(r"(\d+) more failed", errors[-1].text)
    assert (more is not None) == (count > 10)
    if more is not None:
        assert int(more[1]) + kept - 1 == count


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_name_ends_a_command(text: str) -> None:
    found = lines(reported.named(text))
    assert len(found) == 10
    assert {one.command for one in found} == {"error"}
    for line in annotations.lines(reported.named(text)):
        assert reported.hidden(line) == set()
        assert len(line) < 3 * 2300
