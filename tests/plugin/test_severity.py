"""Thresholds that only warn, and thresholds that ask for a gain."""

import json
import re
from pathlib import Path

from tests.plugin.comparisons import verdicts
from tests.running import Finished, Suite

WARNS = """
[tiny.safety]
min = 0
reason = "a test"

[tiny.adherence]
min = 0
reason = "a test"

[tiny.quality]
min = 1
reason = "nobody reaches it"
severity = "warn"

[tiny.robustness]
min = 0
reason = "a test"

[tiny.spqr]
min = 0
reason = "a test"
"""


def test_a_threshold_that_warns_is_reported_and_not_the_exit_code(
    suite: Suite, tmp_path: Path
) -> None:
    path = tmp_path / "warns.toml"
    path.write_text(WARNS, encoding="utf-8")
    for how in ((), ("-n2",)):
        found = suite(f"--spqr-thresholds={path}", *how)
        assert found.code == 0, found.output
        assert found.report is not None
        case = next(one for one in found.report["cases"] if one["name"] == "quality")
        assert (case["severity"], case["outcome"]) == ("warn", "fail")
        assert case["sentence"].startswith("warning: fail: quality = ")
        assert found.report["decision"] == "pass"
        assert found.report["decision_sentence"].endswith("; 1 warns: quality (fail)")
        assert re.search(r"^quality .* warn: fail$", found.output, re.MULTILINE)


def test_a_threshold_that_fails_as_well_decides(suite: Suite, tmp_path: Path) -> None:
    path = tmp_path / "fails.toml"
    text = WARNS.replace("[tiny.adherence]\nmin = 0", "[tiny.adherence]\nmin = 1")
    path.write_text(text, encoding="utf-8")
    found = suite(f"--spqr-thresholds={path}")
    assert found.code == 1
    assert found.report is not None
    assert found.report["decision_sentence"].endswith("; 1 warns: quality (fail)")


def test_a_gain_needs_an_earlier_version(suite: Suite, tmp_path: Path) -> None:
    path = tmp_path / "gain.toml"
    text = WARNS.replace('severity = "warn"', "improves_on_baseline = 0.01")
    path.write_text(text, encoding="utf-8")
    found = suite(f"--spqr-thresholds={path}")
    assert found.code == 4
    assert "the threshold of quality has improves_on_baseline, and this run compares" in (
        found.output
    )


def test_the_same_version_shows_no_gain(
    suite: Suite, warm: tuple[Path, Finished], tmp_path: Path
) -> None:
    report = warm[1].report
    assert report is not None
    path = tmp_path / "gain.toml"
    text = WARNS.replace("min = 1", "min = 0")
    path.write_text(text.replace('severity = "warn"', "improves_on_baseline = 0.01"), "utf-8")
    old = tmp_path / "old.json"
    old.write_text(json.dumps(report), encoding="utf-8")
    found = suite(f"--spqr-thresholds={path}", f"--spqr-baseline={old}")
    assert found.code == 1, found.output
    assert verdicts(found, "baseline")["quality"] == "unimproved"
    assert found.report is not None
    assert (
        "1 is not shown to be better than the earlier version"
        in (found.report["decision_sentence"])
    )
