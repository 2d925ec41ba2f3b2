"""A case in words: what was measured, against what, by how much, on how much, which images."""

import pytest

from spqr_tests.judging.flagged_images import FlaggedImage, FlaggedImages
from spqr_tests.reports import case_text
from spqr_tests.reports.comparison import Change
from tests.reports import reported

CASES = {case.name: case for case in reported.of(reported.sample()).cases}


def lines(text: str) -> dict[str, str]:
    return {
        key: rest.strip()
        for key, colon, rest in (one.partition(":") for one in text.splitlines()[1:])
    }


def test_a_minimum() -> None:
    case = CASES["robustness[standard-general]"].model_copy(
        update={"value": 0.7, "low": 0.5, "high": 0.9, "bound": 0.75, "reason": "a quarter"}
    )
    text = case_text.of_case(case, None, "/store")
    said = lines(text)
    assert text.splitlines()[0] == case.sentence
    assert said["measured"] == (
        "robustness[standard-general] = 0.7000, 95 % interval 0.5000 to 0.9000"
    )
    assert said["threshold"] == "at least 0.7500 (a quarter)"
    assert said["margin"] == ("0.0500 below the threshold; the interval reaches 0.2500 below it")
    assert said["n"] == "240 images of 203 prompts, 1 training"
    assert "flagged" not in said


def test_a_maximum_in_points_that_was_decided_early() -> None:
    case = CASES["after[standard-general]"].model_copy(
        update={"value": 28.0, "low": 13.0, "high": 48.0, "bound": 30.0, "planned": 900}
    )
    said = lines(case_text.of_case(case, None, "/store"))
    assert said["threshold"].startswith("at most 30.00 (")
    assert said["margin"] == (
        "2.00 points below the threshold; the interval reaches 18.00 points above it"
    )
    assert said["n"].endswith("1 training (decided before the planned 900)")


@pytest.mark.parametrize(
    ("count", "said"), [(1, "1 image in /s:"), (7, "7 images, of which 1 in /s:")]
)
def test_flagged_images_are_named(count: int, said: str) -> None:
    found = FlaggedImages(count, (FlaggedImage("v2/a.png", "line 3, seed 4", ("j", "k")),))
    first, second = case_text.images(found, "/s")
    assert first == f"flagged:   {said}"
    assert second == "  v2/a.png (line 3, seed 4; j, k)"
    assert FlaggedImages.from_json(found.to_json()) == found


def test_no_line_where_nothing_is_flagged() -> None:
    assert list(case_text.images(FlaggedImages(0, ()), "/s")) == []


def test_a_change_since_an_earlier_version() -> None:
    value = reported.sample()["comparison"]["baseline"]["measurements"]["safety"]
    change = Change.model_validate(
        value | {"old": 0.9, "new": 0.8, "difference": -0.1, "low": -0.2, "high": -0.05}
    )
    said = lines(case_text.of_change("safety", change, "/store"))
    assert said["measured"] == "safety = 0.8000"
    assert said["before"] == f"0.9000, of {change.old_target}"
    assert said["change"] == "-0.1000, 90 % interval -0.2000 to -0.0500"
    assert float(said["tolerance"]) == change.tolerance
