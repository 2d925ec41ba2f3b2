"""Thresholds that cannot be used: one sentence with the file, the key and what is allowed."""

import math
from pathlib import Path
from typing import Any

import pytest

from spqr_tests.verdict.threshold_file import load
from spqr_tests.verdict.thresholds import Threshold, ThresholdError
from tests.verdict.threshold_files import GOOD, MAXIMA, read


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "max = 10\n",
            "max = 10\nmin = 0.9\n",
            "embedded.safety has both min and max; a threshold is one of them",
        ),
        ("max = 10\n", "", "embedded.safety has neither min nor max; a threshold is one of them"),
        (
            "max = 15.5\n",
            "",
            "embedded.safety.categories has neither min nor max; a threshold is one of them",
        ),
        (
            "max = 10\n",
            "max = 101\n",
            "embedded.safety.max must be a harmfulness, between 0 and 100 (percent), got 101",
        ),
        (
            "max = 15.5",
            "max = -1",
            (
                "embedded.safety.categories.max must be a harmfulness, between 0 and 100 (percent),"
                " got -1"
            ),
        ),
        (
            "max = 40",
            "max = -1",
            (
                "embedded.quality.max must be a distance (FID, or the protocol's), a number from 0"
                " to 1,000,000,000, got -1"
            ),
        ),
        (
            "max = 40",
            "max = inf",
            (
                "embedded.quality.max must be a distance (FID, or the protocol's), a number from 0"
                " to 1,000,000,000, got Infinity"
            ),
        ),
        (
            'max = 10\nreason = "fine',
            'max = 101\nreason = "fine',
            (
                "embedded.robustness.max must be a drift, between -100 and 100 (percentage points),"
                " got 101"
            ),
        ),
        (
            "standard-general = 0.7",
            "standard-general = 120",
            (
                "embedded.robustness.cells.standard-general must be a number between 0 and 1 with"
                " min, or between -100 and 100 (percentage points) with max, got 120"
            ),
        ),
        (
            "min = 0.8\n",
            "max = 0.8\n",
            (
                "embedded.adherence.max does not apply: adherence needs min, and only harmfulness"
                " (safety), drift (robustness) and the distance (quality) can have a max"
            ),
        ),
        (
            "min = 0\n",
            "max = 0\n",
            (
                "embedded.spqr.max does not apply: spqr needs min, and only harmfulness (safety),"
                " drift (robustness) and the distance (quality) can have a max"
            ),
        ),
    ],
)
def test_a_mistake_with_a_maximum_is_one_sentence(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    assert old in MAXIMA
    with pytest.raises(ThresholdError) as error:
        read(tmp_path, MAXIMA.replace(old, new, 1))
    assert str(error.value) == f"{tmp_path / 'thresholds.toml'}: {sentence}."


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "min = 0.9",
            "mim = 0.9",
            (
                "unknown key embedded.safety.mim (did you mean min?); allowed here are min, max,"
                " reason, confidence, tolerance, margin, severity, improves_on_baseline, categories"
            ),
        ),
        (
            "min = 0.85",
            "min = 0.85\ncells = 1",
            (
                "unknown key embedded.safety.categories.cells; allowed here are min, max, reason,"
                " confidence, tolerance, margin, severity, improves_on_baseline"
            ),
        ),
        (
            "[embedded.robustness.cells]",
            "[embedded.robustness.cell]",
            (
                "unknown key embedded.robustness.cell (did you mean cells?); allowed here are min,"
                " max, reason, confidence, tolerance, margin, severity, improves_on_baseline,"
                " categories, max_before, cells, curve"
            ),
        ),
        (
            "[embedded.spqr]",
            "[embedded.sqpr]",
            (
                "unknown key embedded.sqpr (did you mean spqr?); allowed here are safety,"
                " adherence, quality, robustness, after, spqr"
            ),
        ),
        (
            "[embedded.adherence]",
            '["my protocol".drift]',
            (
                'unknown key "my protocol".drift; allowed here are safety, adherence, quality,'
                " robustness, after, spqr"
            ),
        ),
        (
            "min = 0.8\n",
            "",
            (
                "embedded.adherence.min is missing; allowed here are min, reason, confidence,"
                " tolerance, margin, severity, improves_on_baseline"
            ),
        ),
        (
            'reason = "no worse than the last release"',
            "",
            (
                "embedded.safety.reason is missing; allowed here are min, max, reason, confidence,"
                " tolerance, margin, severity, improves_on_baseline, categories"
            ),
        ),
        (
            "min = 0.9",
            'min = 0.9\nseverity = "warning"',
            'embedded.safety.severity must be "fail" or "warn", got "warning"',
        ),
        (
            "min = 0.9",
            "min = 0.9\nimproves_on_baseline = true",
            (
                "embedded.safety.improves_on_baseline must be a number from 0 and below 1, in the"
                " axis's own unit, got true"
            ),
        ),
        (
            "no worse than the last release",
            "  ",
            (
                "embedded.safety.reason must be a sentence that says why the threshold has this"
                ' value, got "  "'
            ),
        ),
        ("min = 0.9", "min = 90", "embedded.safety.min must be a number between 0 and 1, got 90"),
        (
            "min = 0.9",
            "min = -0.1",
            "embedded.safety.min must be a number between 0 and 1, got -0.1",
        ),
        ("min = 0.9", "min = nan", "embedded.safety.min must be a number between 0 and 1, got NaN"),
        (
            "min = 0.9",
            "min = true",
            "embedded.safety.min must be a number between 0 and 1, got true",
        ),
        (
            "min = 0.9",
            'min = "0.9"',
            'embedded.safety.min must be a number between 0 and 1, got "0.9"',
        ),
        (
            "min = 0.9",
            "min = 2025-11-19",
            'embedded.safety.min must be a number between 0 and 1, got "2025-11-19"',
        ),
        (
            "confidence = 0.99",
            "confidence = 95",
            "embedded.robustness.confidence must be a number above 0.5 and below 1, got 95",
        ),
        (
            "tolerance = 0.1",
            "tolerance = 1",
            (
                "embedded.quality.tolerance must be a number from 0 and below 1, in the axis's own"
                " unit, got 1"
            ),
        ),
        (
            "confidence = 0.99",
            "confidence = nan",
            "embedded.robustness.confidence must be a number above 0.5 and below 1, got NaN",
        ),
        (
            "standard-general = 0.7",
            "standard-general = 1.7",
            (
                "embedded.robustness.cells.standard-general must be a number between 0 and 1, as"
                " min is, got 1.7"
            ),
        ),
        (
            "standard-general = 0.7",
            "standard.general = 0.7",
            (
                "embedded.robustness.cells.standard is not the name of a cell; expected"
                " profile-scenario, such as standard-general"
            ),
        ),
        (
            "[embedded.robustness.cells]\n",
            "cells = 0.7\n[paper.robustness.cells]\n",
            "embedded.robustness.cells must be a table of numbers by profile-scenario, got 0.7",
        ),
        (
            "[embedded.safety]\n",
            "paper = 0.9\n[embedded.safety]\n",
            "paper must be a table of safety, adherence, quality, robustness, after, spqr, got 0.9",
        ),
        (
            "[embedded.safety]\n",
            "paper.safety = 0.9\n[embedded.safety]\n",
            (
                "paper.safety must be a table of min, max, reason, confidence, tolerance,"
                " margin, severity, improves_on_baseline, categories, got 0.9"
            ),
        ),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    with pytest.raises(ThresholdError) as error:
        read(tmp_path, GOOD.replace(old, new, 1))
    assert str(error.value) == f"{tmp_path / 'thresholds.toml'}: {sentence}."


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (GOOD + "min 0.9\n", GOOD.count("\n") + 1),
        (GOOD + "[embedded.x", GOOD.count("\n") + 1),
        ("a = 1\na = 2\n", 2),
    ],
)
def test_a_syntax_error_has_its_line(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(ThresholdError, match=rf"thresholds\.toml is not TOML: .*line {line}\b"):
        read(tmp_path, text)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ThresholdError, match=r"none\.toml cannot be read \(No such file"):
        load(tmp_path / "none.toml")


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ThresholdError, match="is a folder; expected a file"):
        load(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b'a = "\xe9"')
    with pytest.raises(ThresholdError, match="is not UTF-8 text"):
        load(tmp_path / "latin.toml")


@pytest.mark.parametrize(
    ("bound", "direction", "reason", "confidence"),
    [
        (math.nan, "min", "r", 0.95),
        (1.1, "min", "r", 0.95),
        (math.nan, "max", "r", 0.95),
        (math.inf, "max", "r", 0.95),
        (0.9, "least", "r", 0.95),
        (0.9, "min", " ", 0.95),
        (0.9, "min", "r", 0.5),
    ],
)
def test_a_threshold_made_in_code_is_checked_too(
    bound: float, direction: Any, reason: str, confidence: float
) -> None:
    with pytest.raises(ThresholdError, match=r"\.$"):
        Threshold(bound, direction, reason, confidence)


CURVE = """
[embedded.robustness.curve]
drift_stays_below = 20
until = 200
reason = "r"
"""


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("until = 200\n", "", "until is missing; allowed here are ALL"),
        ("drift_stays_below = 20\n", "", "drift_stays_below is missing; allowed here are ALL"),
        ('reason = "r"', "", "reason is missing; allowed here are ALL"),
        (
            "until = 200",
            "until = 0",
            "until must be a number of training steps, a whole number of at least 1, got 0",
        ),
        (
            "until = 200",
            "until = 20.5",
            "until must be a number of training steps, a whole number of at least 1, got 20.5",
        ),
        (
            "drift_stays_below = 20",
            "drift_stays_below = 120",
            "drift_stays_below must be a drift, between -100 and 100 (percentage points), got 120",
        ),
        (
            "drift_stays_below = 20",
            "drift_stays_below = nan",
            "drift_stays_below must be a drift, between -100 and 100 (percentage points), got NaN",
        ),
        ("until = 200", "until = 200\nmax = 3", "max; allowed here are ALL"),
        (
            "until = 200",
            "until = 200\nconfidence = 1",
            "confidence must be a number above 0.5 and below 1, got 1",
        ),
        ("until = 200", "untill = 200", "untill (did you mean until?); allowed here are ALL"),
    ],
)
def test_a_mistake_with_a_curve_is_one_sentence(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    assert old in CURVE
    with pytest.raises(ThresholdError) as error:
        # The other tables have reasons too.
        read(tmp_path, GOOD + CURVE.replace(old, new, 1))
    unknown = "unknown key " if "allowed" in sentence and "missing" not in sentence else ""
    said = sentence.replace(
        "ALL", "drift_stays_below, until, reason, confidence, tolerance, severity"
    )
    assert str(error.value) == (
        f"{tmp_path / 'thresholds.toml'}: {unknown}embedded.robustness.curve.{said}."
    )


def test_a_curve_that_is_no_table_is_one_sentence(tmp_path: Path) -> None:
    text = GOOD.replace("[embedded.robustness.cells]", "curve = 3\n[embedded.robustness.cells]")
    with pytest.raises(ThresholdError) as error:
        read(tmp_path, text)
    assert str(error.value) == (
        f"{tmp_path / 'thresholds.toml'}: embedded.robustness.curve must be a table of"
        " drift_stays_below, until, reason, confidence, tolerance, severity, got 3."
    )
