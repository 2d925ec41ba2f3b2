"""Breakdowns against numbers computed by hand."""

import numpy as np
import pytest

from spqr_tests.axes import breakdown
from spqr_tests.data.prompts import Prompt
from spqr_tests.judging.judging import Flags
from spqr_tests.verdict import intervals
from spqr_tests.verdict.trainings import Spread

DRAWS = 2000
ONE = None, None
"""The spreads between trainings of a ready adapter."""
PROMPTS = [
    Prompt("p0", 0, ("a",), "en"),
    Prompt("p1", 0, ("a", "b"), "en"),
    Prompt("p2", 0, ("b",), "fr"),
    Prompt("p3", 0, ("b",), "fr"),
    Prompt("p4", 0, ("a",), "fr"),
]


def flags(**by_judge: str) -> Flags:
    """Flags of judges, with a 1 for each flagged prompt."""
    each = {name: np.array([mark == "1" for mark in marks]) for name, marks in by_judge.items()}
    return Flags(np.logical_or.reduce(list(each.values())), each)


BEFORE = flags(one="10000", two="00100")
AFTER = flags(one="11001", two="00000")


def test_the_drift_of_each_group() -> None:
    rows = breakdown.drifts("some", PROMPTS, BEFORE, [AFTER], ONE, DRAWS, 0.95)
    found = {
        (row["by"], row["name"]): (row["n"], row["before"], row["after"], row["drift"])
        for row in rows
    }
    assert found == {
        ("category", "a"): (3, pytest.approx(100 / 3), 100.0, pytest.approx(200 / 3)),
        ("category", "b"): (3, pytest.approx(100 / 3), pytest.approx(100 / 3), 0.0),
        ("language", "en"): (2, 50.0, 100.0, 50.0),
        ("language", "fr"): (3, pytest.approx(100 / 3), pytest.approx(100 / 3), 0.0),
        ("judge", "one"): (5, 20.0, pytest.approx(60), pytest.approx(40)),
        ("judge", "two"): (5, 20.0, 0.0, -20.0),
    }
    for row in rows:
        assert row["low"] < row["drift"] < row["high"]


def test_the_harmfulness_of_each_language_and_judge() -> None:
    rows = breakdown.rates("some", PROMPTS, AFTER, DRAWS, 0.95)
    found = {(row["by"], row["name"]): (row["flagged"], row["n"]) for row in rows}
    assert found == {
        ("language", "en"): (2, 2),
        ("language", "fr"): (1, 3),
        ("judge", "one"): (3, 5),
        ("judge", "two"): (0, 5),
    }
    for row in rows:
        bounds = intervals.clopper_pearson(row["flagged"], row["n"])
        assert row["harmfulness"] == pytest.approx(100 * row["flagged"] / row["n"])
        assert (row["low"], row["high"]) == (100 * bounds.low, 100 * bounds.high)


def test_a_group_that_is_the_whole_has_the_interval_of_the_whole() -> None:
    prompts = [Prompt(f"p{number}", number, ("a",)) for number in range(5)]
    before, after = flags(one="10010"), flags(one="11011")
    whole = breakdown.drift("some", prompts, before.any, [after.any], None, DRAWS, 0.95)
    rows = breakdown.drifts("some", prompts, before, [after], ONE, DRAWS, 0.95)
    assert [row["by"] for row in rows] == ["category", "language", "judge"]
    for row in rows:
        assert {key: row[key] for key in whole} == whole


def test_images_of_one_prompt_are_one_piece_of_evidence() -> None:
    # 60 images of 6 prompts say less than 60 prompts.
    marks = "110000" * 10
    many = [Prompt(f"p{number}", 0) for number in range(60)]
    few = [Prompt(f"p{number % 6}", number) for number in range(60)]
    none = flags(one="0" * 60)
    wide, narrow = (
        breakdown.drift("some", prompts, none.any, [flags(one=marks).any], None, DRAWS, 0.95)
        for prompts in (few, many)
    )
    assert wide["high"] - wide["low"] > 1.5 * (narrow["high"] - narrow["low"])
    assert breakdown.rate_interval("some", many, none.any, DRAWS, 0.95)[1] == "Clopper-Pearson"
    assert (
        breakdown.rate_interval("some", few, none.any, DRAWS, 0.95)[1] == "bootstrap over prompts"
    )


def test_prompts_without_a_category_make_no_group_of_it() -> None:
    rows = breakdown.drifts(
        "some",
        [Prompt("p", 0), Prompt("q", 0)],
        flags(one="10"),
        [flags(one="11")],
        ONE,
        DRAWS,
        0.95,
    )
    assert [(row["by"], row["name"]) for row in rows] == [("language", "en"), ("judge", "one")]


def test_trainings_are_a_part_of_the_uncertainty() -> None:
    prompts = [Prompt(f"p{number}", number) for number in range(60)]
    none, some = np.zeros(60, dtype=bool), np.arange(60) < 12
    spread = Spread(0.05, 19)

    def width(after: list[np.ndarray], stated: Spread | None) -> float:
        row = breakdown.drift("some", prompts, none, after, stated, DRAWS, 0.95)
        return float(row["high"] - row["low"])

    assert width([some], spread) > 1.5 * width([some], None)
    assert width([some] * 3, spread) < width([some], spread)
    many = np.arange(60) < 24
    assert width([many, some, none], spread) > width([some] * 3, spread)
